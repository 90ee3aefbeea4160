"""Assignment of targets to anchors, for a whole batch at once."""

from hdetr_d2.projects.co_detr.assigners.atss import assign_by_statistics
from hdetr_d2.projects.co_detr.assigners.centre_prior import assign_by_centre
from hdetr_d2.projects.co_detr.assigners.max_iou import MaxIoU
from hdetr_d2.projects.co_detr.assigners.mixture import assign_by_mixture

__all__ = ["MaxIoU", "assign_by_centre", "assign_by_mixture", "assign_by_statistics"]
