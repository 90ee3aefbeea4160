"""Co-DINO 5-scale Swin-L with large-scale jitter on LVIS v1 after Objects365, 16 epochs.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python train_net.py --num-gpus 8
           --config-file projects/co_detr/configs/co_dino_5scale_lsj_swin_large_o365_lvis_16ep.py
           train.init_checkpoint=...
Hours:     not measured
Published: AP 64.5 (LVIS v1 val)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md

The checkpoint is that of a training on Objects365, here or, converted, by the authors' code.
"""

from .co_dino_5scale_lsj_swin_large_12ep import model
from .common.runs.jitter_lvis import data, dataloader, lr_multiplier, optimizer, train

model.preprocessing.side = 1536
model.postprocessing.num_select = 1000
_heads = model.schemes[-1].collaborators
_heads.faster_rcnn.head.roi_head.suppression.most = 1000
_heads.atss.head.suppression.most = 1000
model.schemes[0].box_noise.scale = 0.4
model.schemes[0].update(groups=500, max_queries=1000)
dataloader.evaluator.max_dets_per_image = 1000
optimizer.lr = 1e-4

train.output_dir = "output/co_dino_5scale_lsj_swin_large_o365_lvis_16ep"
train.epochs = 16
lr_multiplier.milestones = [8]
