"""Image files and images in memory as 8-bit RGB, with numpy and Pillow alone."""

from hdetr_d2.pixels.deep_pixels import BadImageError
from hdetr_d2.pixels.images import read_image, to_rgb

__all__ = ["BadImageError", "read_image", "to_rgb"]
