"""What backbones of one map of patches share."""

import math
from typing import Any

from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone


class PatchBackbone(Backbone):
    """A plain transformer with one map, of which a cell is a patch of the image.

    net: timm's model. patch_size: side of a patch, in pixels.
    """

    net: Any
    patch_size: int

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of the map, named `res{n}` for the stride 2^n."""
        shape = ShapeSpec(channels=self.net.embed_dim, stride=self.patch_size)
        return {f"res{int(math.log2(self.patch_size))}": shape}

    @property
    def padding_constraints(self) -> dict[str, int]:
        """Whole patches, as for Detectron2."""
        return {"size_divisibility": self.patch_size}

    @property
    def size_divisibility(self) -> int:
        """In pixels."""
        return self.patch_size
