"""ShapeSpec."""

from detectron2._subset import absent
from detectron2.layers.shape_spec import ShapeSpec

__all__ = ["ShapeSpec"]

__getattr__ = absent(__name__)
