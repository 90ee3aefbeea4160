"""Which image sizes a network's feature maps fit (tried on meta tensors), and padding to such
sizes.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdetr_d2.modeling.backbone.copies import copy_with

_MOST_CELLS = 16  # windows and grids that partition a map are not larger


def find_padding(
    net: nn.Module, *, strides: Sequence[int], in_chans: int, side: int
) -> dict[str, int] | None:
    """What Detectron2's `padding_constraints` must be so that a map of stride s has ceil(n / s)
    cells for n pixels. The rest of a model relies on this: it assumes that a map covers the image
    exactly.

    Args:
        net: a feature extractor, from `Tensor[B, in_chans, H, W]` to a list of maps.
        strides: of its maps.
        in_chans: channels of the images.
        side: side in pixels of the square images that the network was made for.

    Returns:
        An empty dict if images of any size fit, "size_divisibility" if whole cells or windows do,
        "square_size" if only images of `side` do; None if not even those do.
    """
    probe = _Probe(net, strides, in_chans)
    cell = max(strides)
    # One pixel more and one less than whole cells tell rounding up from rounding down, at every
    # stride.
    if probe.fits(3 * cell + 1, 4 * cell - 1):
        return {}
    for multiple in range(cell, cell * _MOST_CELLS + 1, cell):
        fits = probe.fits(3 * multiple, 2 * multiple)
        if fits:
            return {"size_divisibility": multiple}
        if fits is not None:
            break  # more cells would not change the result
    return {"square_size": side} if probe.fits(side, side) else None


def pad(x: Tensor, constraints: Mapping[str, int]) -> Tensor:
    """Pads `Tensor[B, C, H, W]` with zeros on the right and bottom, as `find_padding`
    determined.
    """
    height, width = x.shape[-2:]
    multiple = constraints.get("size_divisibility", 1)
    side = constraints.get("square_size", 0)
    below, right = (max(side - length, 0) or -length % multiple for length in (height, width))
    return F.pad(x, (0, right, 0, below)) if below or right else x


class _Probe:
    """Queries a network for the sizes of its maps."""

    def __init__(self, net: nn.Module, strides: Sequence[int], in_chans: int) -> None:
        self.net = copy_with(net, lambda tensor: tensor.detach().to("meta")).eval()
        self.strides = strides
        self.in_chans = in_chans

    def fits(self, height: int, width: int) -> bool | None:
        """Whether the maps of images of that size have all of their cells; None if the network does
        not accept the size.
        """
        x = torch.empty(1, self.in_chans, height, width, device="meta")
        try:
            with torch.no_grad():
                maps = self.net(x)
        except Exception:  # every model raises errors of its own
            return None
        expected = [(-(-height // stride), -(-width // stride)) for stride in self.strides]
        return [self._size(map_) for map_ in maps] == expected

    def _size(self, map_: Tensor) -> tuple[int, int]:
        last = getattr(self.net, "output_fmt", "NCHW") == "NHWC"
        return (map_.shape[1], map_.shape[2]) if last else (map_.shape[2], map_.shape[3])
