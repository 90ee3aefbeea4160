"""Lazy configs: Python or YAML files that describe calls, which can be edited before they are
made.
"""

from detectron2._subset import absent
from detectron2.config.instantiate import instantiate
from detectron2.config.lazy import LazyCall, LazyConfig

__all__ = ["LazyCall", "LazyConfig", "instantiate"]

__getattr__ = absent(__name__)
