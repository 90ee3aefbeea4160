"""Pictures of boxes and masks, contact sheets of a validation set, and curves of a training run."""

from .contact_sheet import Example, contact_sheet
from .plots import plot_metrics, read_metrics
from .shapes import Shapes, class_color, draw_shapes

__all__ = [
    "Example",
    "Shapes",
    "class_color",
    "contact_sheet",
    "draw_shapes",
    "plot_metrics",
    "read_metrics",
]
