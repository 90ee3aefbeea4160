"""DAC-DETR R50, 12 epochs: Deformable-DETR++ with 900 queries, denoising, the IoU-aware loss, and
a second stream without self-attention of the queries and of those of denoising.

Paper:     DAC-DETR, https://openreview.net/forum?id=8JMexYVcXB
Command:   python train_net.py --config-file configs/dac_detr/dac_detr_r50_12ep.py --num-gpus 8
Hours:     not measured
Published: AP 50.9 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from detectron2.config import LazyCall as L

from hdetr_d2.modeling import NMSPairs

from ..common.losses import iou_aware
from ..common.models.deformable_detr_pp import model
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from ..common.schemes import contrastive_denoising, dac_detr

model.query_selection.num_queries = 900
model.criterion.class_loss = iou_aware
model.criterion.weights["class"] = 1.0
dac_detr.cap = 75 / 900  # the released code counts for 300 queries, however many there are
model.schemes = [contrastive_denoising, dac_detr]
model.postprocessing.update(num_select=300, pick=L(NMSPairs)(iou_threshold=0.8))

train.output_dir = "output/dac_detr_r50_12ep"
