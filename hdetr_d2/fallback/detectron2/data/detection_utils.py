"""What a mapper needs besides its augmentations."""

from collections.abc import Sequence

import numpy as np
from detectron2._subset import absent
from detectron2.utils.file_io import PathManager
from PIL import Image, ImageOps

from .catalog import MetadataCatalog

__all__ = ["SizeMismatchError", "check_image_size", "read_image"]
__getattr__ = absent(__name__)


class SizeMismatchError(ValueError):
    """An image is not as large as its annotation says."""


def read_image(file_name: str, format: str | None = None) -> np.ndarray:
    """Read an image, turned as its EXIF orientation says.

    Args:
        file_name: path.
        format: a mode of PIL ("RGB", "L", ...) or "BGR"; None = as it is stored.

    Returns:
        uint8 array[H, W, C]; "L" has C = 1.
    """
    with PathManager.open(file_name, "rb") as f, Image.open(f) as opened:
        image = ImageOps.exif_transpose(opened)
        if format is not None:
            image = image.convert("RGB" if format == "BGR" else format)
        pixels = np.asarray(image)
    if format == "BGR":
        return pixels[:, :, ::-1]
    return pixels[:, :, None] if format == "L" else pixels


def check_image_size(dataset_dict: dict, image: np.ndarray) -> None:
    """Compare an image with the size in its dict, and write the size there if it has none.

    Raises:
        SizeMismatchError: they differ.
    """
    height, width = image.shape[:2]
    expected = dataset_dict.setdefault("width", width), dataset_dict.setdefault("height", height)
    if (width, height) != expected:
        raise SizeMismatchError(
            f"Image {dataset_dict.get('file_name', '')} has width and height {(width, height)}, "
            f"but its annotation says {expected}."
        )


def check_metadata_consistency(key: str, dataset_names: Sequence[str]) -> None:
    """Raises ValueError when the data sets differ in the metadata `key`."""
    first, *others = dataset_names
    expected = getattr(MetadataCatalog.get(first), key)
    for name in others:
        value = getattr(MetadataCatalog.get(name), key)
        if value != expected:
            raise ValueError(
                f"'{key}' of dataset '{first}' is {expected}, but that of '{name}' is {value}."
            )
