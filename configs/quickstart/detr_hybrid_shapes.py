"""The small DETR of `detr_shapes.py`, trained with the hybrid branch.

Paper:     DETRs with Hybrid Matching, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --config-file configs/quickstart/detr_hybrid_shapes.py
Published: none; docs/QUICKSTART.md tells what to expect
"""

from ..common.schemes import hybrid_branch
from .detr_shapes import data, dataloader, lr_multiplier, model, optimizer, train

hybrid_branch.update(num_queries=60, repeats=4)
model.schemes = [hybrid_branch]
train.output_dir = "output/quickstart_detr_hybrid"
