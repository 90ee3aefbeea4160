"""What it costs to match each target of an image with each of its queries."""

import torch
from torch import Tensor

from hdetr_d2.ops.costs import ClassCost, CostWeights
from hdetr_d2.ops.matching_cost_reference import matching_cost_reference


def matching_cost(
    logits: Tensor,
    boxes: Tensor,
    labels: Tensor,
    target_boxes: Tensor,
    num_targets: Tensor,
    *,
    class_cost: ClassCost,
    weights: CostWeights,
) -> tuple[Tensor, Tensor]:
    """Class cost, L1 distance and minus GIoU of all pairs of an image, weighted and summed.

    Computed in float32, under autocast too, and without a gradient. A class cost of one's own is
    computed in PyTorch's operations.

    Args:
        logits: `Tensor[P, Q, K]`; problem p belongs to image p % B.
        boxes: `Tensor[P, Q, 4]` cxcywh.
        labels: `Tensor[B, G]` integer, in [0, K).
        target_boxes: `Tensor[B, G, 4]` cxcywh.
        num_targets: `Tensor[B]` integer; the rest of the G is padding, whatever is in it.
        class_cost: `FocalCost`, `SoftmaxCost`, or any function of `Tensor[P, Q, K]` and
            `Tensor[P, G]` that gives `Tensor[P, G, Q]`.
        weights: of the three costs.

    Returns:
        cost: `Tensor[P, G, Q]` float32, as `batched_assignment` takes it. Infinite for padding and
            where it is not a finite number, as with a label that is unknown.
        nonfinite: `Tensor[P, 3]` int64, of how many pairs of a target and a query the class cost,
            the distance, the GIoU were not finite.

    Raises:
        ValueError: shapes or devices that do not fit each other; of tensors on the host also
            numbers of targets and labels that cannot be.
        TypeError: logits or boxes that are not floating, labels or counts that are not integers.
    """
    _check_types(logits, boxes, labels, target_boxes, num_targets)
    _check_shapes(logits, boxes, labels, target_boxes, num_targets)
    _check_labels(labels, num_targets, logits.shape[-1])
    return matching_cost_reference(
        logits.detach(),
        boxes.detach(),
        labels.long(),
        target_boxes.detach(),
        num_targets.long(),
        class_cost=class_cost,
        weights=weights,
    )


def _check_types(
    logits: Tensor, boxes: Tensor, labels: Tensor, target_boxes: Tensor, num_targets: Tensor
) -> None:
    floating = dict(logits=logits, boxes=boxes, target_boxes=target_boxes)
    integers = dict(labels=labels, num_targets=num_targets)
    for name, tensor in floating.items():
        if not tensor.is_floating_point():
            raise TypeError(f"{name} must be floating, not {tensor.dtype}.")
    for name, tensor in integers.items():
        if tensor.is_floating_point() or tensor.dtype == torch.bool:
            raise TypeError(f"{name} must hold integers, not {tensor.dtype}.")
    for name, tensor in (floating | integers).items():
        if tensor.device != logits.device:
            raise ValueError(f"{name} is on {tensor.device}, but logits on {logits.device}.")


def _check_shapes(
    logits: Tensor, boxes: Tensor, labels: Tensor, target_boxes: Tensor, num_targets: Tensor
) -> None:
    if logits.dim() != 3 or labels.dim() != 2:
        raise ValueError(
            "matching_cost takes logits [P, Q, K] and labels [B, G], not "
            f"{tuple(logits.shape)} and {tuple(labels.shape)}."
        )
    (problems, queries, classes), (images, targets) = logits.shape, labels.shape
    for name, tensor, wanted in (
        ("boxes", boxes, (problems, queries, 4)),
        ("target_boxes", target_boxes, (images, targets, 4)),
        ("num_targets", num_targets, (images,)),
    ):
        if tuple(tensor.shape) != wanted:
            raise ValueError(
                f"For logits {tuple(logits.shape)} and labels {tuple(labels.shape)}, {name} must "
                f"be {wanted}, not {tuple(tensor.shape)}."
            )
    if problems % images if images else problems:
        raise ValueError(f"{problems} problems cannot belong to {images} images in equal parts.")
    if targets and not classes:
        raise ValueError(f"Logits without classes cannot be matched with {targets} targets.")


def _check_labels(labels: Tensor, num_targets: Tensor, classes: int) -> None:
    """On the host, where that costs nothing; of a fake tensor nothing is known."""
    if labels.device.type != "cpu" or type(labels) is not Tensor or torch.compiler.is_compiling():
        return
    for image, count in enumerate(num_targets.tolist()):
        if not 0 <= count <= labels.shape[1]:
            raise ValueError(f"num_targets[{image}] is {count}, but there are {labels.shape[1]}.")
        unknown = [each for each in labels[image, :count].tolist() if not 0 <= each < classes]
        if unknown:
            raise ValueError(
                f"Image {image} has the label {unknown[0]}, but logits have {classes} classes."
            )
