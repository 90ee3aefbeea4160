"""Boxes, masks and the instances of an image."""

from detectron2._subset import absent
from detectron2.structures.boxes import Boxes, BoxMode
from detectron2.structures.instances import Instances
from detectron2.structures.masks import BitMasks, PolygonMasks, polygons_to_bitmask

__all__ = [
    "BitMasks",
    "BoxMode",
    "Boxes",
    "Instances",
    "PolygonMasks",
    "polygons_to_bitmask",
]

__getattr__ = absent(__name__)
