"""The three branches of LoRA-DETR (https://arxiv.org/abs/2601.09247), with different numbers of
queries per target, and a third of the weight each.
"""

from copy import deepcopy

from .schemes import low_rank_branch

low_rank_branches = {}
for topk in (6, 4, 2):
    branch = deepcopy(low_rank_branch)
    branch.update(weight=1 / 3, name=f"low_rank_k{topk}")
    branch.assigner.topk = topk
    low_rank_branches[f"k{topk}"] = branch
