"""Published checkpoints of other projects in this project's terms: config options and weights.

An importer is an object with a name, by which `tools/convert_checkpoint.py --source` finds it.
Those of DETR and the Deformable-DETR family are here; a project brings its own, see
`find_importer`.
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
