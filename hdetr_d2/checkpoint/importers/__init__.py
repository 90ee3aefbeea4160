"""Converts published checkpoints of other projects to config options and weights of this project.

An importer is an object with a name, which `tools/convert_checkpoint.py --source` refers to. Those
of DETR and the Deformable-DETR family are here; projects bring their own, see `find_importer`.
"""

from hdetr_d2.checkpoint.importers.arguments import Arguments
from hdetr_d2.checkpoint.importers.averages import choose_weights
from hdetr_d2.checkpoint.importers.base import Imported, Importer
from hdetr_d2.checkpoint.importers.classes import CLASSES, COCO_IDS, class_names, keep_coco
from hdetr_d2.checkpoint.importers.registry import find_importer

__all__ = [
    "CLASSES",
    "COCO_IDS",
    "Arguments",
    "Imported",
    "Importer",
    "choose_weights",
    "class_names",
    "find_importer",
    "keep_coco",
]
