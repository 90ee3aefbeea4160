"""Training schemes, one node each with the values of its paper; a recipe lists the ones it wants in
`model.schemes`.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.schemes import GroupDETR, HybridBranch, HybridEpoch, HybridLayer, OneToOne

one_to_one = L(OneToOne)()
hybrid_branch = L(HybridBranch)(num_queries=1500, repeats=6, weight=1.0)
# These two train all of the model's own queries, of which the paper has 1800.
hybrid_epoch = L(HybridEpoch)(repeats=10, until=2 / 3)
hybrid_layer = L(HybridLayer)(repeats=10, num_layers=4)
group_detr = L(GroupDETR)(groups=11)
