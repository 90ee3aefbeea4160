"""The common base of backbones with one map of patches."""

import math
from typing import Any

from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone


class PatchBackbone(Backbone):
    """A plain transformer with a single map, in which each cell is a patch of the image.

    net: the timm model. patch_size: side of a patch, in pixels.
    """

    net: Any
    patch_size: int

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of the map, named `res{n}` for the stride 2^n."""
        shape = ShapeSpec(channels=self.net.embed_dim, stride=self.patch_size)
        return {f"res{int(math.log2(self.patch_size))}": shape}

    @property
    def padding_constraints(self) -> dict[str, int]:
        """Whole patches, in Detectron2's form."""
        return {"size_divisibility": self.patch_size}

    @property
    def size_divisibility(self) -> int:
        """In pixels."""
        return self.patch_size
