"""Mr. DETR with denoising, R50, 900 queries, 12 epochs.

Paper:     Mr. DETR, https://arxiv.org/abs/2412.10028
Command:   python train_net.py --config-file configs/mr_detr/mr_dino_r50_12ep.py --num-gpus 8
Hours:     not measured
Published: AP 50.9 (COCO val2017), with denoising in all routes, see docs/SCHEMES.md
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.deformable_detr_pp import model
from ..common.runs.detr import data, dataloader, lr_multiplier, optimizer, train
from ..common.schemes import contrastive_denoising, instructed_branch, separate_branch

# "Mr. DETR-DINO" of its authors: DINO's denoising in Deformable-DETR++.
model.query_selection.num_queries = 900
model.schemes = [contrastive_denoising, instructed_branch, separate_branch]
for scheme in (instructed_branch, separate_branch):
    scheme.assigner.update(iou_weight=0.8, normaliser_factor=3.0)
model.postprocessing.num_select = 300

train.output_dir = "output/mr_dino_r50_12ep"
