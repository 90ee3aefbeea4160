"""H-Deformable-DETR (H-DETR, https://arxiv.org/abs/2207.13080): Deformable-DETR++ with the hybrid
branch."""

from ..schemes import hybrid_branch
from .deformable_detr_pp import model

model.schemes = [hybrid_branch]
