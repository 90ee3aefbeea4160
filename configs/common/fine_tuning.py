"""Which parts of a trained model are fine-tuned on few images: `model.update(...)`, see
docs/FINETUNE.md.

The weights are those of `train.init_checkpoint`.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.modeling import LowRank

# Everything after the backbone and neck.
without_backbone = dict(freeze=[r"^backbone\.", r"^neck\."])
# Heads, query selection and parts of schemes.
heads_only = dict(freeze=[r"^backbone\.", r"^neck\.", r"^encoder\.", r"^decoder\.layers\."])
# The same, plus low-rank adapters beside the frozen layers of attention and feed-forward networks.
low_rank = dict(
    freeze=heads_only["freeze"],
    adapters=L(LowRank)(rank=8, patterns=[r"^(encoder|decoder)\.layers\."]),
)
