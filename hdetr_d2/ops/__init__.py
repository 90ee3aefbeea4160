"""The operators as Python functions. This package imports torch and nothing else from the project,
so that other projects can use it on its own.
"""

from hdetr_d2.ops.affine_relu import affine_relu
from hdetr_d2.ops.affine_relu_reference import affine_relu_reference
from hdetr_d2.ops.batched_assignment import batched_assignment
from hdetr_d2.ops.batched_assignment_reference import batched_assignment_reference
from hdetr_d2.ops.box_losses import box_losses
from hdetr_d2.ops.box_losses_reference import box_losses_reference
from hdetr_d2.ops.boxes import (
    box_cxcywh_to_xyxy,
    box_iou,
    generalized_box_iou,
    pairwise_generalized_box_iou,
)
from hdetr_d2.ops.costs import ClassCost, CostWeights, FocalCost, SoftmaxCost
from hdetr_d2.ops.dropout import dropout
from hdetr_d2.ops.dropout_reference import dropout_reference
from hdetr_d2.ops.linear import linear
from hdetr_d2.ops.linear_sum_assignment import linear_sum_assignment
from hdetr_d2.ops.matching_cost import matching_cost
from hdetr_d2.ops.matching_cost_reference import matching_cost_reference
from hdetr_d2.ops.move_boxes import move_boxes
from hdetr_d2.ops.move_boxes_reference import move_boxes_reference
from hdetr_d2.ops.ms_deform_attn import ms_deform_attn
from hdetr_d2.ops.ms_deform_attn_fused import ms_deform_attn_fused
from hdetr_d2.ops.ms_deform_attn_fused_reference import ms_deform_attn_fused_reference
from hdetr_d2.ops.ms_deform_attn_reference import ms_deform_attn_reference
from hdetr_d2.ops.placed_costs import (
    AnyClassCost,
    HighOrderCost,
    Overlaps,
    PlacedCost,
    PositionCost,
)
from hdetr_d2.ops.sigmoid_focal_loss import sigmoid_focal_loss
from hdetr_d2.ops.sigmoid_focal_loss_reference import sigmoid_focal_loss_reference

__all__ = [
    "AnyClassCost",
    "ClassCost",
    "CostWeights",
    "FocalCost",
    "HighOrderCost",
    "Overlaps",
    "PlacedCost",
    "PositionCost",
    "SoftmaxCost",
    "affine_relu",
    "affine_relu_reference",
    "batched_assignment",
    "batched_assignment_reference",
    "box_cxcywh_to_xyxy",
    "box_iou",
    "box_losses",
    "box_losses_reference",
    "dropout",
    "dropout_reference",
    "generalized_box_iou",
    "linear",
    "linear_sum_assignment",
    "matching_cost",
    "matching_cost_reference",
    "move_boxes",
    "move_boxes_reference",
    "ms_deform_attn",
    "ms_deform_attn_fused",
    "ms_deform_attn_fused_reference",
    "ms_deform_attn_reference",
    "pairwise_generalized_box_iou",
    "sigmoid_focal_loss",
    "sigmoid_focal_loss_reference",
]
