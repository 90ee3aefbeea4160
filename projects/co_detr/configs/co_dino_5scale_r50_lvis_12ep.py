"""Co-DINO 5-scale R50 on LVIS v1, 12 epochs.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python train_net.py --num-gpus 8
           --config-file projects/co_detr/configs/co_dino_5scale_r50_lvis_12ep.py
Hours:     not measured
Published: none
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.data.lvis import data, dataloader
from ....configs.common.schedule import lr_multiplier
from ....configs.common.train import train
from .common.co_dino import model
from .common.optim import co_dino_optimizer as optimizer

data.keep_empty = True
# The authors' `oversample_thr`; they always round up how often an image comes.
data.repeat_threshold = 1e-3

train.output_dir = "output/co_dino_5scale_r50_lvis_12ep"
