"""MS-DETR on Deformable-DETR++ R50, 900 queries, 12 epochs.

Paper:     MS-DETR, https://arxiv.org/abs/2401.03989
Command:   python train_net.py --num-gpus 8
           --config-file configs/ms_detr/ms_deformable_detr_pp_r50_900q_12ep_top300.py
Hours:     not measured
Published: AP 50.0 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from detectron2.config import LazyCall as L

from hdetr_d2.modeling import CrossFirst

from ..common.models.deformable_detr_pp import model
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from ..common.schemes import mixed_supervision

model.decoder.order = L(CrossFirst)()
model.schemes = [mixed_supervision]
model.criterion.weights_of = {"main": {"class": 1.0}}
model.query_selection.num_queries = 900
model.postprocessing.num_select = 300

train.output_dir = "output/ms_deformable_detr_pp_r50_900q_12ep_top300"
