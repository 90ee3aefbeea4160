"""How images are resized: if it is not as in its training, a model sees other pixels."""

from collections.abc import Collection

import numpy as np

from hdetr_d2.pixels.interpolations import INTERPOLATIONS, pillow
from hdetr_d2.pixels.roundings import ROUNDINGS

NEAREST = "nearest"
"""This project's own rounding."""

TORCH = "torch"
"""The interpolation that is torchvision's on tensors, which only a room with PyTorch can do."""


class ResizeRule:
    """The rule of one code base; without arguments it is this project's own.

    Args:
        rounding: of the size, one of `ROUNDINGS`.
        interpolation: of the pixels: "torch" (torchvision's on tensors, with antialiasing),
            "pillow" (with antialiasing) or "opencv" (INTER_LINEAR, without).

    Raises:
        ValueError: there is no such rounding or interpolation.
    """

    # No dataclass: LazyCall makes text of one, and Detectron2 cannot write that as Python again.
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
        """(H, W) in pixels of an image of this size once it is resized; a side has at least one.

        Args:
            side: length that its shorter side shall have.
            max_size: most that the longer one may have, as far as the rounding heeds it; None for
                no bound.
        """
        short, long = sorted((height, width))
        shorter, longer = ROUNDINGS[self.rounding](short, long, side, max_size)
        shorter, longer = max(1, shorter), max(1, longer)
        return (shorter, longer) if height <= width else (longer, shorter)

    def resize(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """uint8 [H, W, 3] or float32 [H, W, C] in another (H, W), without PyTorch: for "torch"
        Pillow takes its place, which gives a few pixels of 8 bits in a thousand another level.
        """
        if image.shape[:2] == size:
            return image
        return INTERPOLATIONS.get(self.interpolation, pillow)(image, size)


def _one_of(names: Collection[str], **option: str) -> str:
    ((name, value),) = option.items()
    if value not in names:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(names)}")
    return value
