"""The CUDA kernels of multi-scale deformable attention from rows, emulated."""

import hdetr_d2  # noqa: F401

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import ms_deform_attn_fused_reference

sys.path.insert(0, str(Path(__file__).parent))
from guarded import MARGIN, assert_unharmed, guarded
from test_ms_deform_attn_emulated import ELEMENTS, TYPES, Call, Shape, assert_near


@pytest.fixture(scope="session")
def kernels(emulate: Callable[[str], ctypes.CDLL]) -> ctypes.CDLL:
    loaded = emulate("ms_deform_attn")
    loaded.workspace_bytes.restype = ctypes.c_int64
    return loaded


@dataclass(frozen=True)
class Inputs:
    value: Tensor
    sizes: list[tuple[int, int]]
    reference: Tensor
    rows: Tensor
    grad_output: Tensor

    def call(self, shape: Shape, deterministic: bool = False) -> Call:
        heads, levels = self.value.shape[2], len(self.sizes)
        points = self.rows.shape[2] // (3 * heads * levels)
        flat = [side for size in self.sizes for side in size]
        shapes = (ctypes.c_int64 * len(flat))(*flat)
        types = (ELEMENTS.index(tensor.dtype) for tensor in (self.value, self.rows))
        cut = (shape.threads, shape.tiled, shape.max_blocks, deterministic, shape.seed)
        return Call(*self.value.shape, self.rows.shape[1], levels, points, shapes, *types, *cut)

    @property
    def boxes(self) -> ctypes.c_int32:
        return ctypes.c_int32(self.reference.shape[-1] == 4)


def draw(
    seed: int,
    types: tuple[torch.dtype, torch.dtype] = TYPES[0],
    *,
    numbers: int = 2,
    channels: int = 32,
    batch: int = 2,
    heads: int = 2,
    queries: int | None = 5,
    points: int = 4,
    sizes: list[tuple[int, int]] | None = None,
) -> Inputs:
    """Inputs drawn at random; None queries are the cells. Samples are within or some cells outside,
    and never close to where the gradient jumps, also after offsets are rounded to 16 bits: these
    are whole cells of levels whose sides are powers of two.
    """
    sizes = sizes or [(4, 8), (2, 2), (1, 1), (2, 1)]
    generator = torch.Generator().manual_seed(seed)
    cells = sum(h * w for h, w in sizes)
    pairs = (batch, cells if queries is None else queries)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    side = torch.tensor([(w, h) for h, w in sizes], dtype=torch.float64)
    within = torch.rand(*pairs, len(sizes), 2, generator=generator, dtype=torch.float64)
    place = torch.rand(within.shape, generator=generator, dtype=torch.float64) * side
    reference = (place.floor() + 0.55 + 0.4 * within) / side  # in cells: 0.05 to 0.45 over a centre
    cell = torch.randint(-3, 4, (*pairs, heads, len(sizes), points, 2), generator=generator)
    offsets = cell.double()
    if numbers == 4:  # half of the box for all points: one cell for an offset of 1
        box = (2 * points / side).expand(*reference.shape)
        reference = torch.cat([reference, box], -1)
    logits = 2 * normal(*pairs, heads * len(sizes) * points)
    value_type, row_type = types
    exact = torch.float64 if value_type == torch.float64 else torch.float32
    return Inputs(
        normal(batch, cells, heads, channels).to(value_type),
        sizes,
        reference.to(exact),
        torch.cat([offsets.flatten(2), logits], -1).to(row_type),
        normal(*pairs, heads * channels).to(value_type),
    )


def forward(kernels: ctypes.CDLL, inputs: Inputs, shape: Shape, margin: int = MARGIN) -> Tensor:
    given = [guarded(t, margin) for t in (inputs.value, inputs.reference, inputs.rows)]
    output = guarded(torch.zeros_like(inputs.grad_output), margin)
    pointers = (ctypes.c_void_p(t.data_ptr()) for t in (*given, output))
    assert kernels.fused_forward(ctypes.byref(inputs.call(shape)), inputs.boxes, *pointers) == 0
    assert_unharmed(output)
    return output


def backward(
    kernels: ctypes.CDLL,
    inputs: Inputs,
    shape: Shape,
    margin: int = MARGIN,
    *,
    deterministic: bool = False,
    of_reference: bool = True,
) -> list[Tensor]:
    """Gradients by value, reference and rows."""
    call = inputs.call(shape, deterministic)
    tensors = (inputs.value, inputs.reference, inputs.rows)
    given = [guarded(tensor, margin) for tensor in (inputs.grad_output, *tensors)]
    gradients = [guarded(torch.full_like(tensor, 7.0), margin) for tensor in tensors]
    samples = inputs.rows.numel() // 3
    by_weights, by_locations = (
        guarded(torch.full((n * samples,), 7.0, dtype=inputs.reference.dtype), margin)
        for n in (1, 2)
    )
    bytes_ = torch.full((kernels.workspace_bytes(ctypes.byref(call)) + 64,), 113).byte()
    pointers = [ctypes.c_void_p(t.data_ptr()) for t in (*given, *gradients)]
    pointers.append(ctypes.c_void_p(by_weights.data_ptr()))
    pointers.append(ctypes.c_void_p(by_locations.data_ptr()))
    if inputs.rows.dtype == inputs.reference.dtype:
        pointers[7] = ctypes.c_void_p(None)
    if not of_reference:
        pointers[5] = pointers[8] = ctypes.c_void_p(None)
    pointers.append(ctypes.c_void_p(bytes_.data_ptr()))
    assert kernels.fused_backward(ctypes.byref(call), inputs.boxes, *pointers) == 0
    for tensor in (*gradients, by_weights, by_locations):
        assert_unharmed(tensor)
    assert bool((bytes_[-64:] == 113).all())
    return gradients


def expected(inputs: Inputs) -> list[Tensor]:
    """Output and gradients of the twin in float64."""
    leaves = [t.double().requires_grad_() for t in (inputs.value, inputs.reference, inputs.rows)]
    output = ms_deform_attn_fused_reference(leaves[0], inputs.sizes, *leaves[1:])
    gradients = torch.autograd.grad(output, leaves, inputs.grad_output.double())
    return [output.detach(), *gradients]


def check(kernels: ctypes.CDLL, inputs: Inputs, shape: Shape, margin: int = MARGIN) -> None:
    output, *gradients = expected(inputs)
    assert_near(forward(kernels, inputs, shape, margin), output)
    for deterministic in (False, True):
        actual = backward(kernels, inputs, shape, margin, deterministic=deterministic)
        for gradient, wanted in zip(actual, gradients, strict=True):
            assert_near(gradient, wanted)


@pytest.mark.parametrize("numbers", [2, 4])
@pytest.mark.parametrize("channels", [1, 12, 32, 64, 300])  # teams of 8, 4, 8, 16 and 32 lanes
@pytest.mark.parametrize(
    "types", TYPES, ids=lambda types: str(types[0])[6:] + "-" + str(types[1])[6:]
)
def test_any_channels_and_types(
    kernels: ctypes.CDLL, types: tuple[torch.dtype, torch.dtype], channels: int, numbers: int
) -> None:
    inputs = draw(
        channels,
        types,
        numbers=numbers,
        channels=channels,
        batch=1,
        queries=3,
        sizes=[(4, 8), (1, 2)],
    )
    check(kernels, inputs, Shape())


@pytest.mark.parametrize("points", [1, 3, 4, 11])
@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("types", [TYPES[0], TYPES[3]], ids=["float32", "bfloat16"])
def test_any_cut(
    kernels: ctypes.CDLL, types: tuple[torch.dtype, torch.dtype], tiled: bool, points: int
) -> None:
    queries = None if tiled else 9
    inputs = draw(points, types, numbers=4, queries=queries, points=points, heads=3)
    check(kernels, inputs, Shape(96, tiled=tiled, max_blocks=2, seed=points))


def test_addresses_that_no_vector_divides(kernels: ctypes.CDLL) -> None:
    check(kernels, draw(0), Shape(), margin=MARGIN - 1)


@pytest.mark.parametrize("types", [TYPES[0], TYPES[4]], ids=["in the rows", "beside them"])
def test_a_reference_that_nobody_asks_about(
    kernels: ctypes.CDLL, types: tuple[torch.dtype, torch.dtype]
) -> None:
    inputs = draw(0, types)
    by_value, by_reference, by_rows = backward(kernels, inputs, Shape(), of_reference=False)
    assert bool((by_reference == 7).all())
    _, wanted_value, _, wanted_rows = expected(inputs)
    assert_near(by_value, wanted_value)
    assert_near(by_rows, wanted_rows)


@pytest.mark.parametrize("batch, queries", [(0, 3), (2, 0)])
@pytest.mark.parametrize("deterministic", [False, True])
def test_empty(kernels: ctypes.CDLL, deterministic: bool, batch: int, queries: int) -> None:
    inputs = draw(0, batch=batch, queries=queries)
    assert forward(kernels, inputs, Shape()).numel() == 0
    by_value, by_reference, by_rows = backward(
        kernels, inputs, Shape(), deterministic=deterministic
    )
    assert not by_value.any()
    assert by_reference.numel() == by_rows.numel() == 0


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", ["offset", "logit"])
def test_what_is_not_finite_is_seen(kernels: ctypes.CDLL, place: str, number: float) -> None:
    inputs = draw(0)
    inputs.rows[0, 1, 0 if place == "offset" else -1] = number
    lost = forward(kernels, inputs, Shape())[0, 1].isnan()
    if place == "logit" and number < 0:  # no weight at all
        assert not lost.any()
        return
    head = lost.view(2, -1)[0 if place == "offset" else 1]
    assert bool(head.all()) and int(lost.sum()) == 32
    by_value, *_ = backward(kernels, inputs, Shape(), deterministic=True)
    assert bool(by_value.isnan().all())


def test_deterministic_sums_have_the_same_bits(kernels: ctypes.CDLL) -> None:
    inputs = draw(0, queries=None, sizes=[(4, 4)])
    shapes = (
        Shape(),
        Shape(32, max_blocks=1, seed=1),
        Shape(256, tiled=True, max_blocks=2, seed=2),
    )
    first, *others = (backward(kernels, inputs, shape, deterministic=True)[0] for shape in shapes)
    assert all(torch.equal(other, first) for other in others)
