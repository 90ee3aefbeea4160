"""Image files and images in memory as arrays, with numpy and Pillow only; multi-channel TIFFs also
need tifffile.
"""

from hdetr_d2.pixels.deep_pixels import BadImageError
from hdetr_d2.pixels.image_format import EIGHT_BITS, RGB, ImageFormat, MultiChannel, image_format
from hdetr_d2.pixels.images import read_image, to_rgb

__all__ = [
    "EIGHT_BITS",
    "RGB",
    "BadImageError",
    "ImageFormat",
    "MultiChannel",
    "image_format",
    "read_image",
    "to_rgb",
]
