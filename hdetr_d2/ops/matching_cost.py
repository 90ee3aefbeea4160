"""The cost of matching each target of an image with each of its queries."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from hdetr_d2.ops.arguments import check_tensors
from hdetr_d2.ops.costs import CostWeights, FocalCost, SoftmaxCost
from hdetr_d2.ops.derivative import refuse_vmap
from hdetr_d2.ops.extension import is_defined, warn_of_fallback, why_no_kernel
from hdetr_d2.ops.matching_cost_checks import check_arguments
from hdetr_d2.ops.matching_cost_reference import matching_cost_reference
from hdetr_d2.ops.placed_costs import AnyClassCost

_KERNEL_DTYPES = (torch.float32, torch.float16, torch.bfloat16)

if is_defined("matching_cost"):

    @torch.library.register_fake("hdetr_d2::matching_cost")
    def _fake(
        logits: Tensor, boxes: Tensor, labels: Tensor, *others: object
    ) -> tuple[Tensor, Tensor]:
        problems, queries, _ = logits.shape
        cost = boxes.new_empty(problems, labels.shape[1], queries)
        return cost, labels.new_empty(problems, 3)


def matching_cost(
    logits: Tensor,
    boxes: Tensor,
    labels: Tensor,
    target_boxes: Tensor,
    num_targets: Tensor,
    *,
    class_cost: AnyClassCost,
    weights: CostWeights,
) -> tuple[Tensor, Tensor]:
    """Weighted sum of class cost, L1 distance and minus GIoU for all pairs of an image.

    Computed in float32, also under autocast, and without gradient; in compiled kernels where they
    are built for the device, otherwise, after one warning, in PyTorch's own operations
    (`matching_cost_reference`). Custom class costs also use the latter.

    Args:
        logits: `Tensor[P, Q, K]`; problem p belongs to image p % B.
        boxes: `Tensor[P, Q, 4]` cxcywh.
        labels: `Tensor[B, G]` integer, in [0, K).
        target_boxes: `Tensor[B, G, 4]` cxcywh.
        num_targets: `Tensor[B]` integer; the rest of the G targets is padding, whatever its values.
        class_cost: `FocalCost`, `SoftmaxCost`, or any function from `Tensor[P, Q, K]` and
            `Tensor[P, G]` to `Tensor[P, G, Q]`; or a `PlacedCost`, which also receives the overlaps
            of the boxes.
        weights: of the three costs.

    Returns:
        cost: `Tensor[P, G, Q]` float32, as `batched_assignment` takes it. Infinite for padding, and
            for costs that are not finite, such as those of an invalid label.
        nonfinite: `Tensor[P, 3]` int64, the number of target-query pairs in which the class cost,
            the distance and the GIoU were not finite.

    Raises:
        ValueError: shapes or devices do not fit each other; for tensors on the host, also invalid
            counts or labels.
        TypeError: logits or boxes are not floating-point, labels or counts are not integers, or the
            class cost or the weights are none.
        RuntimeError: called within `torch.vmap`.
    """
    check_tensors(
        logits=logits,
        boxes=boxes,
        labels=labels,
        target_boxes=target_boxes,
        num_targets=num_targets,
    )
    _check_form(class_cost, weights)
    refuse_vmap("matching_cost", (logits, boxes, labels, target_boxes, num_targets))
    check_arguments(logits, boxes, labels, target_boxes, num_targets)
    boxes, target_boxes = boxes.detach().float(), target_boxes.detach().float()
    tensors = (logits.detach(), boxes, labels.long(), target_boxes, num_targets.long())
    form = _form(class_cost)
    if form is None or not _use_kernels(logits.device):
        return matching_cost_reference(*tensors, class_cost=class_cost, weights=weights)
    return _compute(*tensors, form, weights)


def _check_form(class_cost: Any, weights: Any) -> None:
    if not callable(class_cost) or isinstance(class_cost, type):
        what = class_cost.__name__ if isinstance(class_cost, type) else type(class_cost).__name__
        kind = "the class " if isinstance(class_cost, type) else ""
        raise TypeError(f"class_cost must be a FocalCost() or a function, not {kind}{what}.")
    if not isinstance(weights, CostWeights):
        raise TypeError(f"weights must be CostWeights, not {type(weights).__name__}.")


class _Form(NamedTuple):
    """A class cost as the kernels describe it."""

    number: int
    alpha: float
    gamma: float


def _form(class_cost: AnyClassCost) -> _Form | None:
    """None for class costs unknown to the kernels; a subclass may compute anything."""
    if type(class_cost) is FocalCost:
        return _Form(0, class_cost.alpha, class_cost.gamma)
    return _Form(1, 0.0, 0.0) if type(class_cost) is SoftmaxCost else None


@torch.compiler.assume_constant_result  # checked, and warned about, during tracing
def _use_kernels(device: torch.device) -> bool:
    how, reason = "in PyTorch's own operations, slower", why_no_kernel("matching_cost", device)
    return not warn_of_fallback("matching_cost", how, reason)


def _compute(
    logits: Tensor,
    boxes: Tensor,
    labels: Tensor,
    target_boxes: Tensor,
    num_targets: Tensor,
    form: _Form,
    weights: CostWeights,
) -> tuple[Tensor, Tensor]:
    if logits.dtype not in _KERNEL_DTYPES:
        logits = logits.float()
    parts = [weights.classes, weights.bbox, weights.giou]
    return torch.ops.hdetr_d2.matching_cost(
        logits, boxes, labels, target_boxes, num_targets, *form, parts
    )
