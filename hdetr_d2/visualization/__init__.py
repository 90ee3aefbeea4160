"""Pictures of boxes and masks, contact sheets of a validation set, and curves of a training run."""

from hdetr_d2.visualization.comparison import Runs, plot_comparison, plot_conditions, values_of
from hdetr_d2.visualization.contact_sheet import Example, contact_sheet
from hdetr_d2.visualization.plots import plot_metrics, read_metrics
from hdetr_d2.visualization.shapes import Shapes, class_color, draw_shapes

__all__ = [
    "Example",
    "Runs",
    "Shapes",
    "class_color",
    "contact_sheet",
    "draw_shapes",
    "plot_comparison",
    "plot_conditions",
    "plot_metrics",
    "read_metrics",
    "values_of",
]
