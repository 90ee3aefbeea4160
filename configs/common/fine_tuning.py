"""What of a trained model learns on few images: `model.update(...)`, see docs/FINETUNE.md.

The weights are those of `train.init_checkpoint`.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.modeling import LowRank

# All but what makes features of pixels.
without_backbone = dict(freeze=[r"^backbone\.", r"^neck\."])
# Heads, query selection and what belongs to schemes.
heads_only = dict(freeze=[r"^backbone\.", r"^neck\.", r"^encoder\.", r"^decoder\.layers\."])
# The same, and beside the frozen layers of attention and feed-forward adapters of low rank.
low_rank = dict(
    freeze=heads_only["freeze"],
    adapters=L(LowRank)(rank=8, patterns=[r"^(encoder|decoder)\.layers\."]),
)
