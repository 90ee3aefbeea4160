"""The metadata of an exported file: everything needed to prepare its inputs and interpret its
outputs.
"""

import json
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

from hdetr_d2.errors import UserError
from hdetr_d2.pixels import ImageFormat, image_format
from hdetr_d2.pixels.resize_rule import NEAREST, TORCH, ResizeRule

KEY = "hdetr_d2"
"""The key under which a file stores its card, as JSON."""


@dataclass(frozen=True)
class Card:
    """
    Attributes:
        class_names: by class index.
        short_side, max_size: images are resized until the shorter side has `short_side` pixels or
            the longer one `max_size`, whichever comes first; None for no resize, or no bound.
        size: (H, W) of the images that the graph accepts; None for any.
        batch: number of images that the graph accepts; None for any.
        multiple, least: in pixels: H and W are multiples of `multiple`, and at least `least`.
        pixel_mean, pixel_std: the graph subtracts the mean from the channels (0 to 255), and
            divides them by the standard deviation.
        pixel_range: white level of pixels with more than 8 bits.
        precision: arithmetic of the graph: "float32", "float16", "bfloat16" or "int8".
        outputs: names of the graph's outputs, in order.
        version: version of hdetr_d2.
        rounding, interpolation: see `ResizeRule`. Files of earlier versions lack these and use this
            project's own.
        channels, shown_channels: see `image_format`. Files of earlier versions are for RGB.
    """

    class_names: tuple[str, ...]
    short_side: int | None
    max_size: int | None
    size: tuple[int, int] | None
    batch: int | None
    multiple: int
    least: int
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    pixel_range: int | None
    precision: str
    outputs: tuple[str, ...]
    version: str
    rounding: str = NEAREST
    interpolation: str = TORCH
    channels: int | None = None
    shown_channels: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        self.rule  # noqa: B018  # raises ValueError for one that does not exist

    @property
    def image_format(self) -> ImageFormat:
        """How images are read."""
        return image_format(self.channels, self.pixel_range, self.shown_channels)

    @property
    def rule(self) -> ResizeRule:
        """How images are resized."""
        return ResizeRule(self.rounding, self.interpolation)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | None, path: object) -> "Card":
        """
        Args:
            text: the value under `KEY` in the file; None if it is missing.
            path: path of the file, for error messages.

        Raises:
            UserError: the file was not written by `hdetr-d2 export`, or by a version with a
                different card.
        """
        if text is None:
            raise UserError(
                f"{path} does not describe its classes and images: it is not a file that "
                "hdetr-d2 export wrote"
            )
        try:
            content = json.loads(text)
            return cls(
                **{
                    field.name: _frozen(content[field.name])
                    for field in fields(cls)
                    if field.name in content or field.default is MISSING
                }
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"the card of {path} cannot be read ({error!r}): has another version written it?"
            ) from None

    def fed_size(self, height: int, width: int) -> tuple[int, int]:
        """(H, W) in pixels to which an image of this size is resized: as in the data, or smaller if
        the graph's size is limited.
        """
        fed = (height, width)
        if self.short_side is not None:
            fed = self.rule.size(height, width, self.short_side, self.max_size)
        if self.size is not None and (fed[0] > self.size[0] or fed[1] > self.size[1]):
            scale = min(self.size[0] / height, self.size[1] / width)
            fed = (max(1, round(height * scale)), max(1, round(width * scale)))
        return fed

    def padded_size(self, sizes: list[tuple[int, int]]) -> tuple[int, int]:
        """(H, W) of the graph's input for a batch of images of these sizes (H, W)."""
        if self.size is not None:
            return self.size
        sides = (max(self.least, *side) for side in zip(*sizes, strict=True))
        height, width = (-(-side // self.multiple) * self.multiple for side in sides)
        return height, width


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
