from detectron2._subset import absent

from . import builtin as _builtin  # noqa: F401 (registers COCO 2017 and LVIS v1)
from .coco import load_coco_json, register_coco_instances
from .lvis import get_lvis_instances_meta, load_lvis_json, register_lvis_instances

__all__ = [
    "get_lvis_instances_meta",
    "load_coco_json",
    "load_lvis_json",
    "register_coco_instances",
    "register_lvis_instances",
]
__getattr__ = absent(__name__)
