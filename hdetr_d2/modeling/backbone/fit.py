"""Which sizes of images a network's maps fit, tried on tensors without values, and padding to
them.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdetr_d2.modeling.backbone.copies import copy_with

_MOST_CELLS = 16  # windows and grids that a map is cut into are not larger


def find_padding(
    net: nn.Module, *, strides: Sequence[int], in_chans: int, side: int
) -> dict[str, int] | None:
    """What Detectron2's `padding_constraints` must be for a map of stride s to have ceil(n / s)
    cells on n pixels. The rest of a model relies on that: it believes that a map covers the image.

    Args:
        net: a feature extractor, from `Tensor[B, in_chans, H, W]` to a list of maps.
        strides: of its maps.
        in_chans: channels of the images.
        side: in pixels, of the square images that the network was made for.

    Returns:
        Nothing where images of any size fit, "size_divisibility" where whole cells or windows do,
        "square_size" where only images of `side` do; None where not even those.
    """
    probe = _Probe(net, strides, in_chans)
    cell = max(strides)
    # One pixel more and one less than whole cells tell rounding up from down, in every stride.
    if probe.fits(3 * cell + 1, 4 * cell - 1):
        return {}
    for multiple in range(cell, cell * _MOST_CELLS + 1, cell):
        fits = probe.fits(3 * multiple, 2 * multiple)
        if fits:
            return {"size_divisibility": multiple}
        if fits is not None:
            break  # more cells would not change where they lie
    return {"square_size": side} if probe.fits(side, side) else None


def pad(x: Tensor, constraints: Mapping[str, int]) -> Tensor:
    """`Tensor[B, C, H, W]` with zeros at the right and below, as `find_padding` says."""
    height, width = x.shape[-2:]
    multiple = constraints.get("size_divisibility", 1)
    side = constraints.get("square_size", 0)
    below, right = (max(side - length, 0) or -length % multiple for length in (height, width))
    return F.pad(x, (0, right, 0, below)) if below or right else x


class _Probe:
    """Asks a network for the sizes of its maps."""

    def __init__(self, net: nn.Module, strides: Sequence[int], in_chans: int) -> None:
        self.net = copy_with(net, lambda tensor: tensor.detach().to("meta")).eval()
        self.strides = strides
        self.in_chans = in_chans

    def fits(self, height: int, width: int) -> bool | None:
        """Whether the maps of images of that size have all of their cells; None where the network
        does not take the size.
        """
        x = torch.empty(1, self.in_chans, height, width, device="meta")
        try:
            with torch.no_grad():
                maps = self.net(x)
        except Exception:  # each model has an error of its own
            return None
        expected = [(-(-height // stride), -(-width // stride)) for stride in self.strides]
        return [self._size(map_) for map_ in maps] == expected

    def _size(self, map_: Tensor) -> tuple[int, int]:
        last = getattr(self.net, "output_fmt", "NCHW") == "NHWC"
        return (map_.shape[1], map_.shape[2]) if last else (map_.shape[2], map_.shape[3])
