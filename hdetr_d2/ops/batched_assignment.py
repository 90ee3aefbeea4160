"""Optimal assignment of queries to targets, for many small problems in one call."""

import functools
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import overload

import torch
from torch import Tensor

from hdetr_d2.ops.arguments import check_tensors
from hdetr_d2.ops.batched_assignment_reference import batched_assignment_reference
from hdetr_d2.ops.derivative import are_numbers_known, refuse_vmap
from hdetr_d2.ops.extension import is_defined, warn_of_fallback, why_no_kernel

if is_defined("batched_assignment"):

    @torch.library.register_fake("hdetr_d2::batched_assignment")
    def _fake(costs: list[Tensor], num_targets: Tensor, capacities: list[int]) -> list[Tensor]:
        return [cost.new_empty(cost.shape[0], cost.shape[2], dtype=torch.int64) for cost in costs]


@overload
def batched_assignment(cost: Tensor, num_targets: Tensor, capacity: int = 1) -> Tensor: ...
@overload
def batched_assignment(
    cost: Sequence[Tensor], num_targets: Tensor, capacity: int | Sequence[int] = 1
) -> list[Tensor]: ...
def batched_assignment(
    cost: Tensor | Sequence[Tensor], num_targets: Tensor, capacity: int | Sequence[int] = 1
) -> Tensor | list[Tensor]:
    """Assigns queries to targets: as many pairs as possible, at the lowest total cost.

    Each target gets `capacity` queries; if there are fewer than capacity * G queries, the cheapest
    Q pairs are made. A cost that is not finite, or above 1e30 in magnitude, forbids its pair. The
    result depends on the costs alone.

    Solved by compiled kernels that return the same indices on every device. Without kernels for the
    device it is solved on the host, and without any kernels by SciPy
    (`batched_assignment_reference`), each after one warning.

    Args:
        cost: `Tensor[P, G, Q]`, converted to float32, or a list of such tensors with different P, G
            and Q. Problem p belongs to image p % B. Rows beyond the image's number of targets are
            padding.
        num_targets: `Tensor[B]` integer, the targets of each image, on the cost's device.
        capacity: maximum number of queries per target; one number, or one per entry of the list.

    Returns:
        `Tensor[P, Q]` int64 on the cost's device, or a list of them: for each query, the index of
        its target, or -1.

    Raises:
        ValueError: shapes, capacities or (on the host) counts do not fit each other. A GPU is not
            waited for: there, counts are clamped to the valid range.
        TypeError: costs are not floating-point, or counts or capacities are not integers.
        RuntimeError: called within `torch.vmap`.
    """
    costs = _costs(cost)
    check_tensors(num_targets=num_targets)
    capacities = _capacities(capacity, len(costs))
    refuse_vmap("batched_assignment", (*costs, num_targets))
    _check(costs, num_targets)
    if not costs:
        return []
    if _use_kernel(num_targets.device):
        answers = _solve(costs, num_targets, capacities)
    else:
        answers = _solve_on_host(costs, num_targets, capacities)
    return answers[0] if isinstance(cost, Tensor) else answers


@torch.compiler.assume_constant_result  # checked during tracing
def _use_kernel(device: torch.device) -> bool:
    return not _why_no_kernel(device)


@functools.cache
def _why_no_kernel(device: torch.device) -> str:
    return why_no_kernel("batched_assignment", device)


def _solve(costs: Sequence[Tensor], num_targets: Tensor, capacities: list[int]) -> list[Tensor]:
    exact = [cost.detach().float() for cost in costs]
    try:
        return torch.ops.hdetr_d2.batched_assignment(exact, num_targets.long(), capacities)
    except RuntimeError:
        _check_counts(num_targets, costs)  # clearer messages than the kernels'
        raise


def _solve_on_host(
    costs: Sequence[Tensor], num_targets: Tensor, capacities: list[int]
) -> list[Tensor]:
    """Waits for the device once: counts and costs are copied together."""
    device = num_targets.device
    if device.type != "cpu":
        how = "on the host, which waits for the device"
        warn_of_fallback("batched_assignment", how, _why_no_kernel(device))
        # Counts are exact in float32 and above.
        flat = torch.cat([part.detach().float().flatten() for part in (num_targets, *costs)]).cpu()
        pieces = flat.split([num_targets.numel(), *(cost.numel() for cost in costs)])
        num_targets = pieces[0].long()
        costs = [piece.view(cost.shape) for piece, cost in zip(pieces[1:], costs, strict=True)]
    reason = _why_no_kernel(num_targets.device)
    if reason:
        warn_of_fallback("batched_assignment", "by SciPy on the host, much slower", reason)
        _check_counts(num_targets, costs)
        answers = batched_assignment_reference(costs, num_targets, capacities)
    else:
        answers = _solve(costs, num_targets, capacities)
    return [answer.to(device) for answer in answers]


def _check_counts(num_targets: Tensor, costs: Sequence[Tensor]) -> None:
    if not are_numbers_known(num_targets):
        return
    counts = num_targets.tolist()
    for cost in costs:
        for image, count in enumerate(counts):
            if len(cost) and not 0 <= count <= cost.shape[1]:
                raise ValueError(
                    f"num_targets[{image}] is {count}, but a cost {tuple(cost.shape)} has "
                    f"{cost.shape[1]}."
                )


def _costs(cost: Tensor | Sequence[Tensor]) -> list[Tensor]:
    if not isinstance(cost, Sequence):
        check_tensors(cost=cost)
        return [cost]
    check_tensors(**{f"cost[{index}]": each for index, each in enumerate(cost)})
    return list(cost)


def _capacities(capacity: int | Sequence[int], entries: int) -> list[int]:
    if isinstance(capacity, Iterable) and not isinstance(capacity, Tensor):
        capacities = list(capacity)
    else:
        capacities = [capacity] * entries
    for each in capacities:
        if not isinstance(each, int | Integral):
            raise TypeError(f"A capacity must be a whole number, not {type(each).__name__}.")
    if len(capacities) != entries:
        raise ValueError(f"{len(capacities)} capacities were given for {entries} cost tensors.")
    if any(each < 1 for each in capacities):
        raise ValueError(f"A capacity is at least 1, not {min(capacities)}.")
    return [int(each) for each in capacities]


def _check(costs: Sequence[Tensor], num_targets: Tensor) -> None:
    if num_targets.dim() != 1:
        raise ValueError(f"num_targets must be Tensor[B], not of shape {tuple(num_targets.shape)}.")
    if num_targets.is_floating_point() or num_targets.dtype == torch.bool:
        raise TypeError(f"num_targets must hold integers, not {num_targets.dtype}.")
    (images,) = num_targets.shape
    for cost in costs:
        if cost.dim() != 3:
            raise ValueError(f"A cost must be Tensor[P, G, Q], not of shape {tuple(cost.shape)}.")
        if not cost.is_floating_point():
            raise TypeError(f"A cost must be floating, not {cost.dtype}.")
        if cost.device != num_targets.device:
            raise ValueError(
                f"num_targets is on {num_targets.device}, but a cost on {cost.device}."
            )
        problems = cost.shape[0]
        if problems % images if images else problems:
            raise ValueError(
                f"{problems} problems cannot belong to {images} images in equal parts."
            )
