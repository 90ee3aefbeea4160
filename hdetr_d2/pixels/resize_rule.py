"""How images are resized: if it differs from training, a model sees different pixels."""

from collections.abc import Collection

import numpy as np

from hdetr_d2.pixels.interpolations import INTERPOLATIONS, pillow
from hdetr_d2.pixels.roundings import ROUNDINGS

NEAREST = "nearest"
"""This project's own rounding."""

TORCH = "torch"
"""torchvision's interpolation of tensors, which only code with PyTorch can use."""


class ResizeRule:
    """The resize rule of one code base; by default this project's own.

    Args:
        rounding: of the size, one of `ROUNDINGS`.
        interpolation: of the pixels: "torch" (torchvision's for tensors, with antialiasing),
            "pillow" (with antialiasing) or "opencv" (INTER_LINEAR, without).

    Raises:
        ValueError: an unknown rounding or interpolation.
    """

    # Not a dataclass: LazyCall turns these into text that Detectron2 cannot write as Python again.
    def __init__(self, rounding: str = NEAREST, interpolation: str = TORCH) -> None:
        self.rounding = _one_of(ROUNDINGS, rounding=rounding)
        self.interpolation = _one_of([TORCH, *INTERPOLATIONS], interpolation=interpolation)

    def __repr__(self) -> str:
        return f"ResizeRule({self.rounding!r}, {self.interpolation!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResizeRule) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def size(self, height: int, width: int, side: int, max_size: int | None) -> tuple[int, int]:
        """(H, W) in pixels of an image of this size after the resize; a side has at least one
        pixel.

        Args:
            side: length of its shorter side.
            max_size: limit of the longer side, as far as the rounding respects it; None for no
                limit.
        """
        short, long = sorted((height, width))
        shorter, longer = ROUNDINGS[self.rounding](short, long, side, max_size)
        shorter, longer = max(1, shorter), max(1, longer)
        return (shorter, longer) if height <= width else (longer, shorter)

    def resize(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Resizes uint8 [H, W, 3] or float32 [H, W, C] to another (H, W) without PyTorch: "torch"
        is then replaced by Pillow, with which a few in a thousand 8-bit pixels differ by a level.
        """
        if image.shape[:2] == size:
            return image
        return INTERPOLATIONS.get(self.interpolation, pillow)(image, size)


def _one_of(names: Collection[str], **option: str) -> str:
    ((name, value),) = option.items()
    if value not in names:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(names)}")
    return value
