"""Windows of a Swin as its authors lay them over an image of any size."""

import torch.nn.functional as F
from timm.models.swin_transformer import SwinTransformerBlock
from timm.models.swin_transformer_v2 import SwinTransformerV2Block
from torch import Tensor, nn


class _PadFirst:
    """Pads a map to whole windows before it is shifted.

    timm pads after the shift, which then tears the map where it wraps around: published detectors
    (https://arxiv.org/abs/2103.14030) are trained the other way. With whole windows, as in
    classification, both are the same.
    """

    window_size: tuple[int, int]

    def _attn(self, x: Tensor) -> Tensor:
        """`Tensor[B, H, W, C]` to the same."""
        height, width = x.shape[1:3]
        x = F.pad(x, (0, 0, 0, -width % self.window_size[1], 0, -height % self.window_size[0]))
        return super()._attn(x)[:, :height, :width]  # type: ignore[misc]


class _Block(_PadFirst, SwinTransformerBlock):
    pass


class _BlockV2(_PadFirst, SwinTransformerV2Block):
    pass


def pad_windows_first(net: nn.Module) -> None:
    """Lets every block of a Swin or Swin V2 below `net` pad before it shifts."""
    for module in net.modules():
        if type(module) is SwinTransformerBlock:
            module.__class__ = _Block
        elif type(module) is SwinTransformerV2Block:
            module.__class__ = _BlockV2
