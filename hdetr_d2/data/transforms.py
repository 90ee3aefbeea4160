"""Transforms for training detection transformers that torchvision.transforms.v2 lacks.

All work on `torchvision.tv_tensors`, can be combined with v2's own transforms, and only use torch's
default random generator. Constructors take plain numbers, so that configs can contain them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from hdetr_d2.data import bitmaps
from hdetr_d2.errors import UserError
from hdetr_d2.pixels.resize_rule import TORCH, ResizeRule

COCO_SIDES = tuple(range(480, 801, 32))
# The grey value used by large-scale jitter for padding: close to the mean that the model subtracts.
PADDING = 114
OWN_RULE = ResizeRule()


def _integer(low: int, high: int) -> int:
    """A random integer in [low, high]."""
    return int(torch.randint(low, high + 1, ()))


def _resize(inpt: Any, size: Sequence[int], rule: ResizeRule) -> Any:
    if isinstance(inpt, tv_tensors.Mask) and inpt.dtype == torch.bool:
        return tv_tensors.Mask(bitmaps.resize(inpt.as_subclass(torch.Tensor), size))
    if isinstance(inpt, tv_tensors.Image) and rule.interpolation != TORCH:
        return _resize_array(inpt, size, rule)
    return F.resize(inpt, list(size), antialias=True)


def _resize_array(image: tv_tensors.Image, size: Sequence[int], rule: ResizeRule) -> Any:
    is_rgb = image.dtype == torch.uint8 and image.shape[0] == 3
    if not is_rgb and (rule.interpolation == "opencv" or not image.is_floating_point()):
        raise UserError(
            f"data.resize.interpolation={rule.interpolation} takes images of 8 bits and 3 channels,"
            f" not {image.dtype} with {image.shape[0]}: put what changes that behind the resize"
        )
    pixels = image.as_subclass(torch.Tensor).permute(1, 2, 0).contiguous().numpy()
    resized = np.array(rule.resize(pixels, (size[0], size[1])))
    return tv_tensors.Image(torch.from_numpy(resized).permute(2, 0, 1))


class RandomShortSide(v2.Transform):
    """Resizes the shorter side to one of several lengths, keeping the aspect ratio.

    v2.RandomShortestSize truncates: it may miss the side by a pixel, and reduce a thin image to
    nothing.
    """

    def __init__(
        self,
        sides: Sequence[int] = COCO_SIDES,
        max_size: int | None = 1333,
        rule: ResizeRule = OWN_RULE,
    ) -> None:
        """
        Args:
            sides: lengths in pixels to draw from; a single one is always used.
            max_size: limit of the longer side, to which the shorter one is adjusted.
            rule: how sizes are rounded and pixels interpolated.
        """
        super().__init__()
        self.sides = tuple(sides)
        self.max_size = max_size
        self.rule = rule

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = v2.query_size(flat_inputs)
        side = self.sides[_integer(0, len(self.sides) - 1)]
        return {"size": list(self.rule.size(height, width, side, self.max_size))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return _resize(inpt, params["size"], self.rule)


class RandomSizeCrop(v2.Transform):
    """Crops a window whose sides are drawn independently, limited to the image's."""

    def __init__(self, min_size: int = 384, max_size: int = 600) -> None:
        """
        Args:
            min_size, max_size: range of a side in pixels, inclusive.
        """
        super().__init__()
        self.min_size = min_size
        self.max_size = max_size

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        sides = v2.query_size(flat_inputs)
        height, width = (
            _integer(min(self.min_size, side), min(self.max_size, side)) for side in sides
        )
        top, left = _integer(0, sides[0] - height), _integer(0, sides[1] - width)
        return {"top": top, "left": left, "height": height, "width": width}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.crop(inpt, **params)


class RandomTile(v2.Transform):
    """Crops a square that contains the centre of a random object, or any square if there are no
    objects: large images are then learned the way `Predictor.tiled` processes them.
    """

    def __init__(self, side: int) -> None:
        """
        Args:
            side: of the square in pixels; shorter sides of an image are kept.
        """
        super().__init__()
        self.side = side

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = v2.query_size(flat_inputs)
        boxes = next((i for i in flat_inputs if isinstance(i, tv_tensors.BoundingBoxes)), ())
        x = y = None
        if len(boxes):
            x0, y0, x1, y1 = boxes[_integer(0, len(boxes) - 1)].tolist()
            x, y = int((x0 + x1) / 2), int((y0 + y1) / 2)
        return {
            "top": self._start(height, y),
            "left": self._start(width, x),
            "height": min(self.side, height),
            "width": min(self.side, width),
        }

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.crop(inpt, **params)

    def _start(self, length: int, within: int | None) -> int:
        """The start of a window in `length` pixels that contains the pixel `within`."""
        last = max(length - self.side, 0)
        if within is None:
            return _integer(0, last)
        return _integer(max(0, within - self.side + 1), min(within, last))


class ResizeOrCrop(v2.RandomChoice):
    """DETR's policy: resize, or (half of the time) resize to a medium size, crop, and resize."""

    def __init__(
        self,
        sides: Sequence[int] = COCO_SIDES,
        max_size: int | None = 1333,
        medium_sides: Sequence[int] = (400, 500, 600),
        crop: Sequence[int] = (384, 600),
        rule: ResizeRule = OWN_RULE,
    ) -> None:
        """
        Args:
            sides, max_size: of the final image, as in `RandomShortSide`.
            medium_sides: lengths of the shorter side before the crop.
            crop: range of the sides of the crop.
            rule: of both resizes.
        """
        resize = RandomShortSide(sides, max_size, rule)
        medium = RandomShortSide(medium_sides, None, rule)
        super().__init__([resize, v2.Compose([medium, RandomSizeCrop(*crop), resize])])


class RandomScale(v2.Transform):
    """Fits the image into a square of `size` times a random factor, keeping the aspect ratio; only
    the interpolation of `rule` is used.
    """

    def __init__(
        self, size: int, scale: Sequence[float] = (0.1, 2.0), rule: ResizeRule = OWN_RULE
    ) -> None:
        super().__init__()
        self.size = size
        self.scale = tuple(scale)
        self.rule = rule

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = v2.query_size(flat_inputs)
        low, high = self.scale
        factor = low + float(torch.rand(())) * (high - low)
        factor *= self.size / max(height, width)
        return {"size": [max(1, round(height * factor)), max(1, round(width * factor))]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return _resize(inpt, params["size"], self.rule)


class CropOrPad(v2.Transform):
    """Makes a square: crops a random window along sides that are too long, and pads the others with
    grey on the right and bottom.
    """

    def __init__(self, size: int, padding: int = PADDING) -> None:
        super().__init__()
        self.size = size
        self.padding = padding

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        sides = v2.query_size(flat_inputs)
        height, width = (min(side, self.size) for side in sides)
        top, left = _integer(0, sides[0] - height), _integer(0, sides[1] - width)
        return {"top": top, "left": left, "height": height, "width": width}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        cropped = F.crop(inpt, **params)
        edges = [0, 0, self.size - params["width"], self.size - params["height"]]
        is_picture = not isinstance(inpt, tv_tensors.Mask)
        return F.pad(cropped, edges, fill=self.padding if is_picture else 0)


class BoxesFromMasks(v2.Transform):
    """Recomputes every box from what is left of its mask; a sample without masks is unchanged.

    The clipped box of a cropped object may be much larger than its visible part.
    """

    _transformed_types = (tv_tensors.BoundingBoxes, tv_tensors.Mask)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"masks": next((i for i in flat_inputs if isinstance(i, tv_tensors.Mask)), None)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if params["masks"] is None or isinstance(inpt, tv_tensors.Mask):
            return inpt
        masks = params["masks"].as_subclass(torch.Tensor)
        drawn = tv_tensors.BoundingBoxes(
            bitmaps.tight_boxes(masks), format="XYXY", canvas_size=inpt.canvas_size
        )
        drawn = F.convert_bounding_box_format(drawn, new_format=inpt.format)
        # An object without a pixel keeps its box, and the mapper drops it.
        return tv_tensors.wrap(
            torch.where(bitmaps.any_of(masks, 1, 2)[:, None], drawn, inpt).as_subclass(
                torch.Tensor
            ),
            like=inpt,
        )


class LargeScaleJitter(v2.Compose):
    """Scales by a random factor, then crops or pads to a square of `size` pixels; with masks, boxes
    enclose the visible parts.
    """

    def __init__(
        self, size: int = 1024, scale: Sequence[float] = (0.1, 2.0), rule: ResizeRule = OWN_RULE
    ) -> None:
        super().__init__([RandomScale(size, scale, rule), CropOrPad(size), BoxesFromMasks()])


class ColorJitter(v2.RandomApply):
    """Random brightness, contrast, saturation and hue, with probability `p`."""

    def __init__(
        self,
        brightness: float = 0.2,
        contrast: float = 0.2,
        saturation: float = 0.2,
        hue: float = 0.02,
        p: float = 0.5,
    ) -> None:
        super().__init__([v2.ColorJitter(brightness, contrast, saturation, hue)], p=p)
