"""A small call of every operator that has CUDA kernels, for what holds of all of them."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

sys.path.insert(0, str(Path(__file__).parent))
from attention_inputs import random_inputs

# By dtype: the largest difference to the CPU kernels, as a part of the largest number.
TOLERANCES = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.bfloat16: 1e-2,
    torch.int64: 0.0,
    torch.int32: 0.0,
}


@dataclass(frozen=True)
class Call:
    """op: its name. draw: its arguments, on the CPU."""

    op: str
    draw: Callable[[], tuple]

    def arguments(self) -> tuple:
        """The same ones whenever they are drawn."""
        torch.manual_seed(0)
        return self.draw()

    def run(self, arguments: tuple) -> list[Tensor]:
        return tree_leaves(getattr(torch.ops.hdetr_d2, self.op)(*arguments))

    def on_cpu(self) -> list[Tensor]:
        return self.run(self.arguments())


def moved(arguments: tuple, device: str) -> tuple:
    """With a copy of each tensor on the device: no kernel but ours runs there."""
    return tree_map_only(Tensor, lambda tensor: tensor.to(device), arguments)


def assert_same(found: list[Tensor], wanted: list[Tensor]) -> None:
    """The numbers of a device are those of the CPU kernels."""
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        tolerance = TOLERANCES[other.dtype]
        error = (one.cpu().double() - other.double()).abs().max()
        assert error <= tolerance * other.double().abs().max()


def attention(**sizes: Any) -> tuple:
    value, shapes, locations, weights = random_inputs(**{"dtype": torch.float32, **sizes})
    return value, [size for shape in shapes for size in shape], locations, weights


def attention_backward(deterministic: bool = False, **sizes: Any) -> tuple:
    value, *others = attention(**sizes)
    gradient = torch.randn(*others[-1].shape[:2], value[0, 0].numel()).to(value)
    return gradient, value, *others, deterministic


def fused(numbers: int, **sizes: Any) -> tuple:
    value, shapes, locations, weights = attention(**sizes)
    reference = 0.2 + 0.6 * torch.rand(*weights.shape[:2], weights.shape[3], numbers)
    rows = torch.cat([torch.randn_like(locations).flatten(2), 2 * weights.float().flatten(2)], -1)
    return value, shapes, reference.to(locations), rows.to(value)


def fused_backward(numbers: int, deterministic: bool = False, **sizes: Any) -> tuple:
    value, *others = fused(numbers, **sizes)
    gradient = torch.randn(*others[-1].shape[:2], value[0, 0].numel()).to(value)
    return gradient, value, *others, True, deterministic


def assignment(problems: int, targets: int, queries: int, capacity: int) -> tuple:
    cost = torch.rand(problems, targets, queries)
    return [cost], torch.tensor([targets, 1]), [capacity]


def costs(form: int, dtype: torch.dtype = torch.float32) -> tuple:
    logits, boxes = 4 * torch.randn(4, 70, 11), torch.rand(4, 70, 4)
    labels, target_boxes = torch.randint(11, (2, 9)), torch.rand(2, 9, 4)
    given = (logits.to(dtype), boxes, labels, target_boxes, torch.tensor([9, 4]))
    return *given, form, 0.25, 2.0, [2.0, 5.0, 2.0]


def focal(dtype: torch.dtype = torch.float32) -> tuple:
    logits, labels = 4 * torch.randn(2, 2, 40, 11), torch.randint(-2, 11, (2, 2, 40))
    return logits.to(dtype), labels, 0.25, 2.0


def boxes() -> tuple:
    return torch.rand(3, 40, 4), torch.rand(3, 7, 4), torch.randint(-7, 7, (3, 40))


def moves(numbers: int) -> tuple:
    return torch.randn(2, 300, 4), torch.rand(2, 300, numbers), 1e-2


def moves_backward(numbers: int) -> tuple:
    return torch.randn(2, 300, 4), torch.rand(2, 300, 4), *moves(numbers)[1:], True


def affine(last: bool = False, dtype: torch.dtype = torch.float32, side: int = 8) -> tuple:
    order = torch.channels_last if last else torch.contiguous_format
    x, residual = (torch.randn(2, 16, 5, side, dtype=dtype) for _ in range(2))
    maps = [each.contiguous(memory_format=order) for each in (x, residual)]
    return maps[0], torch.rand(16), torch.rand(16), maps[1], 1.5


def affine_backward(**options: Any) -> tuple:
    y, scale, _, gradient, ceiling = affine(**options)
    return gradient, y, scale, ceiling, True


BF16 = torch.bfloat16
CALLS: Mapping[str, Call] = {
    "attention": Call("ms_deform_attn", lambda: attention(channels=32)),
    "attention-bfloat16": Call("ms_deform_attn", lambda: attention(channels=32, dtype=BF16)),
    "attention-float64": Call("ms_deform_attn", lambda: attention(dtype=torch.float64)),
    "attention-wide": Call("ms_deform_attn", lambda: attention(channels=300, heads=1)),
    "attention-backward": Call("ms_deform_attn_backward", lambda: attention_backward(channels=32)),
    "attention-backward-wide": Call(
        "ms_deform_attn_backward", lambda: attention_backward(channels=80)
    ),
    "attention-backward-bfloat16": Call(
        "ms_deform_attn_backward", lambda: attention_backward(channels=32, dtype=BF16)
    ),
    "attention-backward-deterministic": Call(
        "ms_deform_attn_backward", lambda: attention_backward(True, channels=32)
    ),
    "fused": Call("ms_deform_attn_fused", lambda: fused(2, channels=32)),
    "fused-boxes-bfloat16": Call("ms_deform_attn_fused", lambda: fused(4, channels=32, dtype=BF16)),
    "fused-float64": Call("ms_deform_attn_fused", lambda: fused(4, dtype=torch.float64)),
    "fused-backward": Call("ms_deform_attn_fused_backward", lambda: fused_backward(4, channels=32)),
    "fused-backward-wide": Call(
        "ms_deform_attn_fused_backward", lambda: fused_backward(2, channels=80)
    ),
    "fused-backward-bfloat16": Call(
        "ms_deform_attn_fused_backward", lambda: fused_backward(4, channels=32, dtype=BF16)
    ),
    "fused-backward-deterministic": Call(
        "ms_deform_attn_fused_backward", lambda: fused_backward(4, True, channels=32)
    ),
    "affine": Call("affine_relu", affine),
    "affine-last-bfloat16": Call("affine_relu", lambda: affine(last=True, dtype=BF16)),
    "affine-odd": Call("affine_relu", lambda: affine(side=7)),
    "affine-backward": Call("affine_relu_backward", affine_backward),
    "affine-backward-last-bfloat16": Call(
        "affine_relu_backward", lambda: affine_backward(last=True, dtype=BF16)
    ),
    "assignment": Call("batched_assignment", lambda: assignment(2, 4, 30, 2)),  # by a warp
    # Fewer queries than a list of the other image has places.
    "assignment-few": Call("batched_assignment", lambda: assignment(2, 10, 5, 3)),
    "assignment-block": Call("batched_assignment", lambda: assignment(4, 50, 310, 6)),
    "assignment-wide": Call("batched_assignment", lambda: assignment(2, 4, 5000, 1)),
    "assignment-global": Call("batched_assignment", lambda: assignment(2, 2, 400_000, 1)),
    "cost": Call("matching_cost", lambda: costs(0)),
    "cost-softmax": Call("matching_cost", lambda: costs(1, BF16)),
    "focal": Call("sigmoid_focal_loss", focal),
    "focal-backward": Call(
        "sigmoid_focal_loss_backward", lambda: (torch.tensor([1.0, -2.0]), *focal())
    ),
    "focal-backward-bfloat16": Call(
        "sigmoid_focal_loss_backward", lambda: (torch.tensor([1.0, -2.0]), *focal(BF16))
    ),
    "boxes": Call("box_losses", boxes),
    "boxes-backward": Call("box_losses_backward", lambda: (torch.rand(3, 40, 2), *boxes())),
    "moves": Call("move_boxes", lambda: moves(4)),
    "moves-of-points": Call("move_boxes", lambda: moves(2)),
    "moves-backward": Call("move_boxes_backward", lambda: moves_backward(4)),
    "moves-of-points-backward": Call("move_boxes_backward", lambda: moves_backward(2)),
}
