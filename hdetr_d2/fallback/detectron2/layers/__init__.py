"""ShapeSpec and non-maximum suppression."""

from detectron2._subset import absent
from detectron2.layers.nms import batched_nms
from detectron2.layers.shape_spec import ShapeSpec

__all__ = ["ShapeSpec", "batched_nms"]

__getattr__ = absent(__name__)
