"""The registry of whole models."""

from detectron2._subset import absent
from detectron2.utils.registry import Registry

__all__ = ["META_ARCH_REGISTRY"]

__getattr__ = absent(__name__)

META_ARCH_REGISTRY = Registry("META_ARCH")
