"""The preprocessing of Hugging Face's image processors, as config options."""

from collections.abc import Mapping, Sequence
from typing import Any

from hdetr_d2.checkpoint.importers import resizing
from hdetr_d2.errors import UserError

_RESIZE = "dataloader.test.mapper.augmentations.0"
_BILINEAR = 2


def processor_options(processor: Mapping[str, Any]) -> dict[str, Any]:
    """Mean, standard deviation, size and resize rule from the content of
    `preprocessor_config.json`; where it says nothing, DETR's processor has the same values as the
    recipes.

    Raises:
        UserError: a preprocessing that is not supported here.
    """
    # It rescales, subtracts the mean and divides: here everything is done on the scale of the
    # images.
    factor = processor.get("rescale_factor", 1 / 255) if processor.get("do_rescale", True) else 1.0
    normalise = processor.get("do_normalize", True)
    mean = processor.get("image_mean", [0.485, 0.456, 0.406]) if normalise else [0.0] * 3
    std = processor.get("image_std", [0.229, 0.224, 0.225]) if normalise else [1.0] * 3
    return {
        "model.preprocessing.pixel_mean": _on_scale(mean, factor, "image_mean"),
        "model.preprocessing.pixel_std": _on_scale(std, factor, "image_std"),
        **_sizes(processor),
        **resizing.TRANSFORMERS,
    }


def _on_scale(values: Any, factor: Any, name: str) -> list[float]:
    numbers = isinstance(values, Sequence) and all(isinstance(v, int | float) for v in values)
    if not numbers or len(values) != 3 or not isinstance(factor, int | float) or factor <= 0:
        raise UserError(
            f"{name}={values}, rescale_factor={factor}: three numbers are needed, and one"
        )
    return [round(value / factor, 6) for value in values]


def _sizes(processor: Mapping[str, Any]) -> dict[str, Any]:
    size = processor.get("size", {"shortest_edge": 800, "longest_edge": 1333})
    if isinstance(size, int):  # as in older versions
        size = {"shortest_edge": size, "longest_edge": processor.get("max_size")}
    sides = (size.get("shortest_edge"), size.get("longest_edge")) if isinstance(size, dict) else ()
    if not sides or not isinstance(sides[0], int) or not isinstance(sides[1], int | None):
        raise UserError(f"size={size}: only shortest_edge and longest_edge can be converted")
    if not processor.get("do_resize", True) or processor.get("resample", _BILINEAR) != _BILINEAR:
        raise UserError(
            "only images that are resized bilinearly can be converted: do_resize, resample"
        )
    return {f"{_RESIZE}.sides": [sides[0]], f"{_RESIZE}.max_size": sides[1]}
