"""Checks of the matching cost's arguments: shapes, types and, for tensors on the host, values."""

import torch
from torch import Tensor

from hdetr_d2.ops.derivative import are_numbers_known


def check_arguments(
    logits: Tensor, boxes: Tensor, labels: Tensor, target_boxes: Tensor, num_targets: Tensor
) -> None:
    """Raises a ValueError or a TypeError, in one sentence, for arguments that `matching_cost` does
    not accept.
    """
    _check_types(logits, boxes, labels, target_boxes, num_targets)
    _check_shapes(logits, boxes, labels, target_boxes, num_targets)
    _check_labels(labels, num_targets, logits.shape[-1])


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
    if not are_numbers_known(labels):
        return
    for image, count in enumerate(num_targets.tolist()):
        if not 0 <= count <= labels.shape[1]:
            raise ValueError(f"num_targets[{image}] is {count}, but there are {labels.shape[1]}.")
        unknown = [each for each in labels[image, :count].tolist() if not 0 <= each < classes]
        if unknown:
            raise ValueError(
                f"Image {image} has the label {unknown[0]}, but logits have {classes} classes."
            )
