"""Checks that what is built computes correctly."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hdetr_d2.ops import (
    CostWeights,
    FocalCost,
    SoftmaxCost,
    affine_relu,
    affine_relu_reference,
    batched_assignment,
    batched_assignment_reference,
    box_losses,
    box_losses_reference,
    dropout,
    dropout_reference,
    extension,
    matching_cost,
    matching_cost_reference,
    move_boxes,
    move_boxes_reference,
    ms_deform_attn,
    ms_deform_attn_fused,
    ms_deform_attn_fused_reference,
    ms_deform_attn_reference,
    sigmoid_focal_loss,
    sigmoid_focal_loss_reference,
)

# Maximum error relative to the largest value: slightly more than one rounding of the result.
TOLERANCES = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.float16: 2e-3,
    torch.bfloat16: 2e-2,
}


@dataclass(frozen=True)
class Check:
    """One line of the self-test."""

    name: str
    passed: bool
    detail: str

    def __str__(self) -> str:
        return f"{'PASS' if self.passed else 'FAIL'}  {self.name}: {self.detail}"


def deformable_attention(dtype: torch.dtype, channels: int) -> tuple[list[Tensor], tuple]:
    """Arguments of `ms_deform_attn`: tensors, and level sizes. No location is near the border of a
    cell, where the derivative jumps; some are outside of the level.
    """
    rng = torch.Generator().manual_seed(0)
    shapes = ((24, 31), (12, 16), (5, 7))
    batch, queries, heads, points = 2, 50, 3, 5
    value = torch.randn(batch, sum(h * w for h, w in shapes), heads, channels, generator=rng)
    sizes = torch.tensor([(w, h) for h, w in shapes])[:, None]  # [L, 1, 2]
    place = torch.rand(2, batch, queries, heads, len(shapes), points, 2, generator=rng)
    cell = (place[0] * (sizes + 3)).floor() - 2
    locations = (cell + 0.1 + 0.8 * place[1] + 0.5) / sizes
    weights = torch.rand(batch, queries, heads, len(shapes), points, generator=rng)
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    return [value.to(dtype), locations.to(exact), weights.to(dtype)], shapes


def _attend(op: Callable, tensors: Sequence[Tensor], shapes: tuple) -> list[Tensor]:
    """The output of `op` and the gradients of its tensors."""
    value, locations, weights = leaves = [t.detach().requires_grad_() for t in tensors]
    output = op(value, shapes, locations, weights)
    ramp = torch.linspace(-1, 1, output.numel()).view(output.shape)
    return [output.detach(), *torch.autograd.grad(output, leaves, ramp.to(output))]


def check_deformable_attention(device: torch.device, dtype: torch.dtype) -> Check:
    """The kernels against their reference in float64 on the CPU; 5 channels do not fill a
    vector.
    """
    errors = []
    for channels in (32, 5):
        tensors, shapes = deformable_attention(dtype, channels)
        wanted = _attend(ms_deform_attn_reference, [t.double() for t in tensors], shapes)
        got = _attend(ms_deform_attn, [t.to(device) for t in tensors], shapes)
        errors += [_error(a, b) for a, b in zip(got, wanted, strict=True)]
    worst = max(errors)
    name = f"ms_deform_attn on {device}, {str(dtype).removeprefix('torch.')}"
    return Check(name, worst <= TOLERANCES[dtype], f"forward and backward, error {worst:.1e}")


def _error(got: Tensor, wanted: Tensor) -> float:
    """Maximum difference relative to the largest value; infinite for NaN."""
    difference = (got.double().cpu() - wanted).abs().max() / wanted.abs().max()
    return difference.nan_to_num(torch.inf).item()


def check_determinism(device: torch.device) -> Check:
    tensors, shapes = deformable_attention(torch.float32, 32)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        runs = [_attend(ms_deform_attn, [t.to(device) for t in tensors], shapes) for _ in range(2)]
    finally:
        torch.use_deterministic_algorithms(before)
    same = all(torch.equal(a, b) for a, b in zip(*runs, strict=True))
    detail = f"two runs are {'equal' if same else 'not equal'} to the bit"
    return Check(f"ms_deform_attn on {device}, deterministic", same, detail)


def check_fused_attention(device: torch.device) -> Check:
    """The kernels against their reference in float64 on the CPU, for points and boxes."""
    rng, errors = torch.Generator().manual_seed(0), []
    shapes = [(9, 12), (5, 6)]
    for numbers in (2, 4):
        value = torch.randn(2, 138, 4, 32, generator=rng)
        reference = 0.2 + 0.6 * torch.rand(2, 138, 2, numbers, generator=rng)
        rows = torch.randn(2, 138, 3 * 4 * 2 * 4, generator=rng)

        def learn(op: Callable, *given: Tensor) -> list[Tensor]:
            leaves = [tensor.requires_grad_() for tensor in given]
            out = op(leaves[0], shapes, *leaves[1:])
            return [out.detach(), *torch.autograd.grad(out.square().sum(), leaves)]

        given = (value, reference, rows)
        wanted = learn(ms_deform_attn_fused_reference, *(t.double() for t in given))
        got = learn(ms_deform_attn_fused, *(t.to(device) for t in given))
        errors += [_error(a, b) for a, b in zip(got, wanted, strict=True)]
    worst = max(errors)
    detail = f"forward and backward, error {worst:.1e}"
    return Check(f"ms_deform_attn_fused on {device}", worst <= 2e-5, detail)


def check_matching_cost(device: torch.device) -> Check:
    """The kernels against their reference on the CPU, with both class costs that they support."""
    rng = torch.Generator().manual_seed(0)
    logits, boxes = torch.randn(4, 100, 11, generator=rng), torch.rand(4, 100, 4, generator=rng)
    labels = torch.randint(11, (2, 20), generator=rng)
    target_boxes = torch.rand(2, 20, 4, generator=rng)
    tensors = (logits, boxes, labels, target_boxes, torch.tensor([20, 20]))
    weights, errors = CostWeights(2.0, 5.0, 2.0), []
    for form in (FocalCost(), SoftmaxCost()):
        wanted, _ = matching_cost_reference(*tensors, class_cost=form, weights=weights)
        moved = (tensor.to(device) for tensor in tensors)
        got, _ = matching_cost(*moved, class_cost=form, weights=weights)
        errors.append(_error(got, wanted))
    worst = max(errors)
    detail = f"focal and softmax, error {worst:.1e}"
    return Check(f"matching_cost on {device}", worst <= TOLERANCES[torch.float32], detail)


def check_focal_loss(device: torch.device) -> Check:
    """The kernels against their reference in float64 on the CPU."""
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 300, 11, generator=rng)
    labels = torch.randint(-2, 11, (2, 2, 300), generator=rng)

    def learn(op: Callable, logits: Tensor, labels: Tensor) -> list[Tensor]:
        leaf = logits.requires_grad_()
        loss = op(leaf, labels)
        return [loss.detach(), *torch.autograd.grad(loss.sum(), leaf)]

    wanted = learn(sigmoid_focal_loss_reference, logits.double(), labels)
    got = learn(sigmoid_focal_loss, logits.to(device), labels.to(device))
    worst = max(_error(a, b) for a, b in zip(got, wanted, strict=True))
    detail = f"forward and backward, error {worst:.1e}"
    return Check(f"sigmoid_focal_loss on {device}", worst <= TOLERANCES[torch.float32], detail)


def check_box_losses(device: torch.device) -> Check:
    """The kernels against their reference in float64 on the CPU."""
    rng = torch.Generator().manual_seed(0)
    boxes, truth = (torch.rand(4, n, 4, generator=rng) / 2 + 0.2 for n in (300, 20))
    index = torch.randint(-20, 20, (4, 300), generator=rng)

    def learn(op: Callable, boxes: Tensor, truth: Tensor, index: Tensor) -> list[Tensor]:
        leaf = boxes.requires_grad_()
        losses = op(leaf, truth, index)
        return [losses.detach(), *torch.autograd.grad(losses.sum(), leaf)]

    wanted = learn(box_losses_reference, boxes.double(), truth.double(), index)
    got = learn(box_losses, boxes.to(device), truth.to(device), index.to(device))
    worst = max(_error(a, b) for a, b in zip(got, wanted, strict=True))
    detail = f"forward and backward, error {worst:.1e}"
    return Check(f"box_losses on {device}", worst <= TOLERANCES[torch.float32], detail)


def check_move_boxes(device: torch.device) -> Check:
    """The kernels against their reference in float64 on the CPU; half of the references have no
    size.
    """
    rng, errors = torch.Generator().manual_seed(0), []
    for numbers in (2, 4):
        delta = torch.randn(4, 300, 4, generator=rng)
        reference = 0.1 + 0.8 * torch.rand(4, 300, numbers, generator=rng)

        def learn(op: Callable, *given: Tensor) -> list[Tensor]:
            leaves = [tensor.requires_grad_() for tensor in given]
            boxes = op(*leaves)
            return [boxes.detach(), *torch.autograd.grad(boxes.sum(), leaves)]

        wanted = learn(move_boxes_reference, delta.double(), reference.double())
        got = learn(move_boxes, delta.to(device), reference.to(device))
        errors += [_error(a, b) for a, b in zip(got, wanted, strict=True)]
    worst = max(errors)
    detail = f"forward and backward, error {worst:.1e}"
    return Check(f"move_boxes on {device}", worst <= TOLERANCES[torch.float32], detail)


def check_affine_relu(device: torch.device) -> Check:
    """The kernels against their reference in float64 on the CPU, in both memory formats."""
    rng, errors = torch.Generator().manual_seed(0), []
    x, residual = (torch.randn(2, 12, 9, 16, generator=rng) for _ in range(2))
    scale, shift = torch.rand(2, 12, generator=rng)

    def learn(op: Callable, constants: tuple[Tensor, Tensor], *given: Tensor) -> list[Tensor]:
        leaves = [tensor.requires_grad_() for tensor in given]
        y = op(leaves[0], *constants, leaves[1], 1.5)
        return [y.detach(), *torch.autograd.grad(y.square().sum(), leaves)]

    exact = (scale.double(), shift.double())
    wanted = learn(affine_relu_reference, exact, x.double(), residual.double())
    for order in (torch.contiguous_format, torch.channels_last):
        given = (each.to(device).contiguous(memory_format=order) for each in (x, residual))
        got = learn(affine_relu, (scale.to(device), shift.to(device)), *given)
        errors += [_error(a, b) for a, b in zip(got, wanted, strict=True)]
    detail = f"forward and backward, error {max(errors):.1e}"
    return Check(f"affine_relu on {device}", max(errors) <= TOLERANCES[torch.float32], detail)


def check_dropout(device: torch.device) -> Check:
    """The kernel drops the same elements as its reference."""
    x, seeds = torch.linspace(-1, 1, 5001, dtype=torch.float64), torch.tensor([5])
    wanted = dropout_reference(x, 0.1, seeds)
    error = _error(dropout(x.float().to(device), 0.1, seeds.to(device)), wanted)
    detail = f"5,001 numbers, error {error:.1e}"
    return Check(f"dropout on {device}", error <= TOLERANCES[torch.float32], detail)


def check_assignment(device: torch.device) -> Check:
    """As many pairs as the reference, at the same cost; with a capacity, and with forbidden
    pairs.
    """
    rng = torch.Generator().manual_seed(0)
    cost = torch.rand(4, 20, 100, generator=rng)
    cost[2:][torch.rand(2, 20, 100, generator=rng) < 0.5] = torch.inf
    counts = torch.tensor([20, 7])
    (wanted,) = batched_assignment_reference([cost], counts, [3])
    got = batched_assignment(cost.to(device), counts.to(device), 3).cpu()
    same = torch.equal((got >= 0).sum(-1), (wanted >= 0).sum(-1))
    error = abs(_total(cost, got) - _total(cost, wanted))
    detail = f"4 problems, cost differs by {error:.1e}"
    return Check(f"batched_assignment on {device}", same and error < 1e-4, detail)


def _total(cost: Tensor, answer: Tensor) -> float:
    chosen = cost.gather(1, answer.clamp(min=0)[:, None]).squeeze(1)
    return float(chosen[answer >= 0].double().sum())


def devices_with_kernels() -> Iterator[torch.device]:
    if extension.CPU.loaded:
        yield torch.device("cpu")
    if extension.CUDA.loaded:
        yield from (torch.device("cuda", index) for index in range(torch.cuda.device_count()))


def check_device(device: torch.device) -> Iterator[Check]:
    reason = extension.why_no_kernel("ms_deform_attn", device)
    if reason:  # otherwise the reference would run, and pass
        yield Check(f"ms_deform_attn on {device}", False, reason)
        return
    for dtype in TOLERANCES:
        yield _guarded(f"ms_deform_attn on {device}", check_deformable_attention, device, dtype)
    yield _guarded(f"ms_deform_attn on {device}", check_determinism, device)
    yield _guarded(f"ms_deform_attn_fused on {device}", check_fused_attention, device)
    yield _guarded(f"matching_cost on {device}", check_matching_cost, device)
    yield _guarded(f"sigmoid_focal_loss on {device}", check_focal_loss, device)
    yield _guarded(f"box_losses on {device}", check_box_losses, device)
    yield _guarded(f"move_boxes on {device}", check_move_boxes, device)
    yield _guarded(f"affine_relu on {device}", check_affine_relu, device)
    yield _guarded(f"dropout on {device}", check_dropout, device)
    yield _guarded(f"batched_assignment on {device}", check_assignment, device)


def _guarded(name: str, check: Callable[..., Check], *arguments: object) -> Check:
    try:
        return check(*arguments)
    except Exception as error:  # a kernel that raises is a finding too
        return Check(name, False, extension.whole(error))
