"""The inputs on which multi-scale deformable attention is timed, and the bytes they require to be
moved.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from ms_deform_attn_peers import Attention, Shapes
from torch import Tensor

# An image of 800 x 1333 pixels at the strides 8, 16, 32 and 64: 22,223 cells.
LEVELS: Shapes = ((100, 167), (50, 84), (25, 42), (13, 21))
HEADS, POINTS, CHANNELS = 8, 4, 32
FORWARD, BACKWARD, BOTH = "forward", "backward", "forward + backward"


@dataclass(frozen=True)
class Case:
    """What is sampled, and the required speed relative to its peer on a CPU.

    Args:
        shapes: (H, W) of the levels.
        queries: None for the encoder, where every cell is a query.
        near: samples lie around a reference point, as in training; otherwise anywhere in the image.
        required: for each pass, in float32 on two threads.
    """

    shapes: Shapes
    queries: int | None
    near: bool
    required: Mapping[str, float]

    def shrunk(self) -> "Case":
        """A smaller version for tests that only run it."""
        return replace(self, shapes=((4, 6), (2, 3)), queries=self.queries and 5)


CASES = {
    "encoder-near": Case(LEVELS, None, True, {FORWARD: 25, BOTH: 20}),
    "encoder-anywhere": Case(LEVELS, None, False, {FORWARD: 15, BOTH: 13}),
    "decoder-1800-near": Case(LEVELS, 1800, True, {FORWARD: 9, BOTH: 7}),
    "decoder-1800-anywhere": Case(LEVELS, 1800, False, {FORWARD: 9, BOTH: 7}),
    "decoder-300-near": Case(LEVELS, 300, True, {FORWARD: 5, BOTH: 6}),
}


@dataclass(frozen=True)
class Inputs:
    """Arguments of the operator, and the gradient of its output."""

    value: Tensor
    spatial_shapes: Shapes
    sampling_locations: Tensor
    attention_weights: Tensor
    grad_output: Tensor

    def leaves(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.value, self.sampling_locations, self.attention_weights

    def output(self, attention: Attention) -> Tensor:
        return attention(
            self.value, self.spatial_shapes, self.sampling_locations, self.attention_weights
        )


def draw_inputs(case: Case, *, dtype: torch.dtype, batch: int, device: str) -> Inputs:
    """Random inputs of a case, always the same."""
    torch.manual_seed(0)
    # As under autocast: the value may have 16 bits, locations and weights have at least 32.
    wide = torch.promote_types(dtype, torch.float32)
    with torch.device(device):
        reference = (
            cell_centres(case.shapes) if case.queries is None else torch.rand(case.queries, 2)
        )
        queries, levels = len(reference), len(case.shapes)
        samples = (batch, queries, HEADS, levels, POINTS)
        locations = torch.rand(*samples, 2)
        if case.near:
            sizes = torch.tensor([(w, h) for h, w in case.shapes])[:, None]  # [L, 1, 2]
            offsets = initial_offsets() + 1.5 * torch.randn(*samples, 2)
            locations = reference[:, None, None, None] + offsets / sizes
        value = torch.randn(batch, sum(h * w for h, w in case.shapes), HEADS, CHANNELS)
        weights = torch.randn(batch, queries, HEADS, levels * POINTS).softmax(-1).view(samples)
        gradient = torch.randn(batch, queries, HEADS * CHANNELS)
    return Inputs(
        value.to(dtype).requires_grad_(),
        case.shapes,
        locations.to(wide).requires_grad_(),
        weights.to(wide).requires_grad_(),
        gradient.to(dtype),
    )


def cell_centres(shapes: Shapes) -> Tensor:
    """Centres of all cells, `Tensor[S, 2]` (x, y) in [0, 1], level by level."""
    centres = []
    for height, width in shapes:
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centres.append(torch.stack([(columns + 0.5) / width, (rows + 0.5) / height], -1))
    return torch.cat([each.flatten(0, 1) for each in centres])


def initial_offsets() -> Tensor:
    """`Tensor[M, 1, P, 2]` in cells: where an untrained model samples, one direction per head."""
    angle = 2 * math.pi * torch.arange(HEADS) / HEADS
    direction = torch.stack([angle.cos(), angle.sin()], -1)
    direction = direction / direction.abs().amax(-1, keepdim=True)
    return direction[:, None, None] * torch.arange(1, POINTS + 1)[:, None]


@dataclass(frozen=True)
class Traffic:
    """The minimum number of bytes that a pass moves: between the L2 cache and the cores, and from
    memory.
    """

    l2: int
    dram: int

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(self.l2 + other.l2, self.dram + other.dram)


def traffic(inputs: Inputs) -> dict[str, Traffic]:
    """For each pass, for these samples.

    L2: every sample reads the D channels of those of its 4 corners that are inside the image; the
    backward also adds D sums, in float32 or float64, to each of them.
        forward   corners * D * size(value)
        backward  corners * D * (size(value) + size(sum))
    Memory: every input once, every output once.
        forward   value + locations + weights + output
        backward  the same inputs, the output's gradient, and the gradients of the inputs
    Not included is what a kernel reuses in L1, sums before it leaves a multiprocessor
    (ms_deform_attn_sums.py), or reads again because a cache is too small.
    """
    corners = count_corners(inputs.sampling_locations, inputs.spatial_shapes)
    gathered = corners * CHANNELS
    sums = inputs.sampling_locations.element_size()
    read = sum(leaf.nbytes for leaf in inputs.leaves())
    output = inputs.grad_output.nbytes
    one_way = Traffic(gathered * inputs.value.element_size(), read + output)
    other_way = Traffic(one_way.l2 + gathered * sums, 2 * read + output)
    return {FORWARD: one_way, BACKWARD: other_way, BOTH: one_way + other_way}


def count_corners(locations: Tensor, shapes: Shapes) -> int:
    """How many of the 4 cells around each sample are inside the image, over all samples."""
    sizes = locations.new_tensor([(w, h) for h, w in shapes])[:, None]  # [L, 1, 2]
    low = (locations.detach() * sizes - 0.5).floor()
    inside = ((low >= 0) & (low < sizes)).int() + ((low >= -1) & (low < sizes - 1)).int()
    return int(inside.prod(-1).sum())
