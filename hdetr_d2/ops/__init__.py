"""The operators as Python functions. This package imports torch and nothing else of the project, so
that another Detectron2 project can take it alone."""

from hdetr_d2.ops.batched_assignment import batched_assignment
from hdetr_d2.ops.batched_assignment_reference import batched_assignment_reference
from hdetr_d2.ops.linear_sum_assignment import linear_sum_assignment
from hdetr_d2.ops.ms_deform_attn import ms_deform_attn
from hdetr_d2.ops.ms_deform_attn_reference import ms_deform_attn_reference

__all__ = [
    "batched_assignment",
    "batched_assignment_reference",
    "linear_sum_assignment",
    "ms_deform_attn",
    "ms_deform_attn_reference",
]
