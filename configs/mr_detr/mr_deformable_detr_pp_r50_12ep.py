"""Mr. DETR on Deformable-DETR++ R50, 300 queries, 12 epochs.

Paper:     Mr. DETR, https://arxiv.org/abs/2412.10028
Command:   python train_net.py --num-gpus 8
           --config-file configs/mr_detr/mr_deformable_detr_pp_r50_12ep.py
Hours:     not measured
Published: AP 49.5 (COCO val2017), with scores averaged over two layers, see docs/SCHEMES.md
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.deformable_detr_pp import model
from ..common.runs.detr import data, dataloader, lr_multiplier, optimizer, train
from ..common.schemes import instructed_branch, separate_branch

model.schemes = [instructed_branch, separate_branch]
model.query_selection.proposal_weight = 3.0
instructed_branch.proposal_weight = 3.0
for scheme in model.schemes:
    scheme.assigner.cap = 0.75  # 225 of 300: the authors' code counts with 900 queries in any case
model.postprocessing.num_select = 300

train.output_dir = "output/mr_deformable_detr_pp_r50_12ep"
