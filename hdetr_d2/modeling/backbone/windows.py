"""Swin windows as the authors' detectors lay them over images of any size."""

import torch.nn.functional as F
from timm.layers import PatchEmbed
from timm.models.swin_transformer import SwinTransformerBlock
from timm.models.swin_transformer_v2 import SwinTransformerV2Block
from torch import Tensor, nn


class _PadFirst:
    """Pads a map to whole windows before it is shifted.

    timm pads after the shift, which splits the map where it wraps around, while published detectors
    (https://arxiv.org/abs/2103.14030) were trained the other way. For maps of whole windows, as in
    classification, both are the same.
    """

    window_size: tuple[int, int]

    def _attn(self, x: Tensor) -> Tensor:
        """`Tensor[B, H, W, C]` to `Tensor[B, H, W, C]`."""
        height, width = x.shape[1:3]
        x = F.pad(x, (0, 0, 0, -width % self.window_size[1], 0, -height % self.window_size[0]))
        return super()._attn(x)[:, :height, :width]  # type: ignore[misc]


class _Block(_PadFirst, SwinTransformerBlock):
    pass


class _BlockV2(_PadFirst, SwinTransformerV2Block):
    pass


_PADDING_FIRST: dict[type, type] = {
    SwinTransformerBlock: _Block,
    SwinTransformerV2Block: _BlockV2,
}


def pad_like_detectors(net: nn.Module) -> None:
    """Makes a Swin or Swin V2 pad an image to whole patches, so that maps have ceil(n / s) cells,
    and each map to whole windows before it is shifted. Other models are left unchanged.
    """
    blocks = [module for module in net.modules() if type(module) in _PADDING_FIRST]
    for block in blocks:
        block.__class__ = _PADDING_FIRST[type(block)]
    for module in net.modules() if blocks else ():
        if isinstance(module, PatchEmbed):
            module.dynamic_img_pad = True  # type: ignore[misc]  # final for TorchScript only
