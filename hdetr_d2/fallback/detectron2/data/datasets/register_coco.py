from detectron2._subset import absent

from .coco import register_coco_instances

__all__ = ["register_coco_instances"]
__getattr__ = absent(__name__)
