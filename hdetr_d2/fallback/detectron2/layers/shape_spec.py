"""What is known about a feature map before it exists."""

from dataclasses import dataclass

from detectron2._subset import absent

__all__ = ["ShapeSpec"]

__getattr__ = absent(__name__)


@dataclass
class ShapeSpec:
    """Channels, size and stride of a feature map; None where it is not known."""

    channels: int | None = None
    height: int | None = None
    width: int | None = None
    stride: int | None = None
