"""The CUDA kernels of multi-scale deformable attention, emulated."""

import hdetr_d2  # noqa: F401

import ctypes
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import ms_deform_attn_reference

sys.path.insert(0, str(Path(__file__).parent))
from guarded import MARGIN, assert_unharmed, guarded

# As in `enum Type`.
ELEMENTS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
TYPES = [(t, t) for t in ELEMENTS] + [(t, torch.float32) for t in ELEMENTS[2:]]


class Call(ctypes.Structure):
    """The same fields in ms_deform_attn_driver.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("batch", "cells", "heads", "channels")),
        *((name, ctypes.c_int64) for name in ("queries", "levels", "points")),
        ("shapes", ctypes.POINTER(ctypes.c_int64)),
        *((name, ctypes.c_int32) for name in ("value_type", "weight_type")),
        *((name, ctypes.c_int32) for name in ("threads", "tiled", "max_blocks", "deterministic")),
        ("seed", ctypes.c_uint64),
    ]


@pytest.fixture(scope="session")
def kernels(emulate: Callable[[str], ctypes.CDLL]) -> ctypes.CDLL:
    loaded = emulate("ms_deform_attn")
    loaded.workspace_bytes.restype = ctypes.c_int64
    loaded.added_bytes.restype = ctypes.c_int64
    return loaded


@dataclass(frozen=True)
class Shape:
    """How the work is cut, and the seed of the order in which it is done."""

    threads: int = 64
    tiled: bool = False
    max_blocks: int = 1 << 30
    seed: int = 0


@dataclass(frozen=True)
class Inputs:
    value: Tensor
    sizes: list[tuple[int, int]]
    locations: Tensor
    weights: Tensor
    grad_output: Tensor

    def call(self, shape: Shape, deterministic: bool = False) -> Call:
        _, queries, _, levels, points = self.weights.shape
        flat = [side for size in self.sizes for side in size]
        shapes = (ctypes.c_int64 * len(flat))(*flat)
        types = (ELEMENTS.index(t.dtype) for t in (self.value, self.weights))
        cut = (shape.threads, shape.tiled, shape.max_blocks, deterministic, shape.seed)
        return Call(*self.value.shape, queries, levels, points, shapes, *types, *cut)


def draw(
    seed: int,
    types: tuple[torch.dtype, torch.dtype] = TYPES[0],
    *,
    channels: int = 32,
    batch: int = 2,
    heads: int = 2,
    queries: int | None = 5,
    points: int = 4,
    sizes: list[tuple[int, int]] | None = None,
) -> Inputs:
    """Inputs drawn at random; None queries are the cells. The points are within or up to three
    pixels outside, and never close to where the gradient jumps.
    """
    sizes = sizes or [(4, 6), (3, 2), (1, 1), (2, 1)]
    generator = torch.Generator().manual_seed(seed)
    cells = sum(h * w for h, w in sizes)
    pairs = (batch, cells if queries is None else queries, heads)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    corners = torch.tensor([(w, h) for h, w in sizes], dtype=torch.float64)[:, None]
    where = torch.rand(*pairs, len(sizes), points, 2, generator=generator, dtype=torch.float64)
    cell = (where * (corners + 6)).floor() - 3
    within = torch.rand(where.shape, generator=generator, dtype=torch.float64) * 0.98 + 0.01
    locations = (cell + within + 0.5) / corners
    value_type, weight_type = types
    exact = torch.float64 if value_type == torch.float64 else torch.float32
    return Inputs(
        normal(batch, cells, heads, channels).to(value_type),
        sizes,
        locations.to(exact),
        normal(*pairs, len(sizes), points).to(weight_type),
        normal(*pairs[:2], heads * channels).to(value_type),
    )


def forward(
    kernels: ctypes.CDLL, inputs: Inputs, shape: Shape = Shape(), margin: int = MARGIN
) -> Tensor:
    given = (inputs.value, inputs.locations, inputs.weights)
    given = [guarded(tensor, margin) for tensor in given]
    output = guarded(torch.zeros_like(inputs.grad_output), margin)
    pointers = (ctypes.c_void_p(tensor.data_ptr()) for tensor in (*given, output))
    assert kernels.forward(ctypes.byref(inputs.call(shape)), *pointers) == 0
    assert_unharmed(output)
    return output


def backward(
    kernels: ctypes.CDLL,
    inputs: Inputs,
    shape: Shape = Shape(),
    margin: int = MARGIN,
    *,
    deterministic: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    call = inputs.call(shape, deterministic)
    tensors = (inputs.value, inputs.locations, inputs.weights)
    given = [guarded(tensor, margin) for tensor in (inputs.grad_output, *tensors)]
    gradients = [guarded(torch.full_like(tensor, 7.0), margin) for tensor in tensors]
    bytes_ = torch.full((kernels.workspace_bytes(ctypes.byref(call)) + 64,), 113).byte()
    workspace = bytes_[:-64]
    pointers = (ctypes.c_void_p(t.data_ptr()) for t in (*given, *gradients, workspace))
    assert kernels.backward(ctypes.byref(call), *pointers) == 0
    for gradient in gradients:
        assert_unharmed(gradient)
    assert bool((bytes_[-64:] == 113).all())
    return gradients[0], gradients[1], gradients[2]


def expected(inputs: Inputs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Output and gradients of the twin in float64."""
    leaves = [t.double().requires_grad_() for t in (inputs.value, inputs.locations, inputs.weights)]
    output = ms_deform_attn_reference(leaves[0], inputs.sizes, leaves[1], leaves[2])
    output.backward(inputs.grad_output.double())
    by_value, by_locations, by_weights = (leaf.grad for leaf in leaves)
    assert by_value is not None and by_locations is not None and by_weights is not None
    return output.detach(), by_value, by_locations, by_weights


def assert_near(actual: Tensor, wanted: Tensor) -> None:
    """Up to the rounding of the result, and of the sums that it is made of."""
    rounding = torch.finfo(actual.dtype).eps
    sums = 1e-12 if actual.dtype == torch.float64 else 1e-5
    scale = float(wanted.abs().max()) if wanted.numel() else 0.0
    torch.testing.assert_close(actual.double(), wanted, rtol=rounding, atol=sums * scale + 1e-30)


def check(kernels: ctypes.CDLL, inputs: Inputs, shape: Shape, margin: int = MARGIN) -> None:
    output, *gradients = expected(inputs)
    assert_near(forward(kernels, inputs, shape, margin), output)
    for deterministic in (False, True):
        actual = backward(kernels, inputs, shape, margin, deterministic=deterministic)
        for gradient, wanted in zip(actual, gradients, strict=True):
            assert_near(gradient, wanted)


# Every size of a team, channels that no vector divides, and more than the largest team covers.
CHANNELS = [1, 3, 4, 8, 12, 16, 32, 33, 64, 80, 128, 256, 300]


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize(
    "types", TYPES, ids=lambda types: str(types[0])[6:] + "-" + str(types[1])[6:]
)
def test_any_channels_and_types(
    kernels: ctypes.CDLL, types: tuple[torch.dtype, torch.dtype], channels: int
) -> None:
    inputs = draw(channels, types, channels=channels, batch=1, queries=3, sizes=[(4, 6), (1, 2)])
    check(kernels, inputs, Shape())


@pytest.mark.parametrize("seed", range(12))
def test_any_sizes(kernels: ctypes.CDLL, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    sizes = [(number(1, 7), number(1, 7)) for _ in range(number(1, 5))]
    queries = number(1, 9)
    inputs = draw(
        seed,
        TYPES[number(0, len(TYPES) - 1)],
        channels=CHANNELS[number(0, 6)],
        batch=number(1, 3),
        heads=number(1, 3),
        queries=queries if seed % 3 else None,
        points=number(1, 5),
        sizes=sizes,
    )
    shape = Shape(32 * number(1, 4), seed % 3 == 0, number(1, 3), seed)
    check(kernels, inputs, shape)


@pytest.mark.parametrize("types", TYPES[:3], ids=lambda types: str(types[0])[6:])
@pytest.mark.parametrize("shift", [1, 4])  # four numbers of 16 bits: half a vector of the forward
def test_addresses_that_no_vector_divides(
    kernels: ctypes.CDLL, types: tuple[torch.dtype, torch.dtype], shift: int
) -> None:
    check(kernels, draw(0, types), Shape(), margin=MARGIN - shift)


def test_tiles_reach_every_query(kernels: ctypes.CDLL) -> None:
    inputs = draw(
        0, channels=4, batch=2, heads=1, queries=None, points=1, sizes=[(19, 3), (8, 9), (1, 5)]
    )
    plain = forward(kernels, inputs, Shape())
    assert torch.equal(forward(kernels, inputs, Shape(tiled=True)), plain)
    assert_near(plain, expected(inputs)[0])


@pytest.mark.parametrize("batch, queries", [(0, 3), (2, 0), (0, 0)])
@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("types", [TYPES[1], TYPES[2]])
def test_empty(
    kernels: ctypes.CDLL,
    types: tuple[torch.dtype, torch.dtype],
    deterministic: bool,
    batch: int,
    queries: int,
) -> None:
    inputs = draw(0, types, batch=batch, queries=queries)
    assert forward(kernels, inputs).numel() == 0
    by_value, by_locations, by_weights = backward(kernels, inputs, deterministic=deterministic)
    assert not by_value.any()
    assert by_locations.numel() == by_weights.numel() == 0


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_failure_is_not_told_again(kernels: ctypes.CDLL, deterministic: bool) -> None:
    inputs = draw(0)
    nothing = [ctypes.c_void_p(None)] * 8
    assert kernels.backward(ctypes.byref(inputs.call(Shape(), deterministic)), *nothing) != 0
    check(kernels, inputs, Shape())


NOT_FINITE = [torch.nan, torch.inf, -torch.inf]


@pytest.mark.parametrize("number", [*NOT_FINITE, 1e30, -1e30, 3e9])
@pytest.mark.parametrize("tiled", [False, True])
def test_strange_locations(kernels: ctypes.CDLL, number: float, tiled: bool) -> None:
    inputs = draw(0, queries=None if tiled else 5)
    shape = Shape(tiled=tiled)
    inputs.locations[0, 1, 1, 2, 3, 0] = number
    inputs.locations[1, 4, 0, 0, 0] = number
    inputs.locations[0, 0, 0, 0, 0] = torch.tensor([number, 5.0])
    output, wanted, *_ = expected(inputs)
    actual = forward(kernels, inputs, shape)
    torch.testing.assert_close(actual.double(), output, rtol=1e-5, atol=1e-4, equal_nan=True)
    by_value, by_locations, by_weights = backward(kernels, inputs, shape)
    lost = torch.full((), number).isfinite().logical_not()
    assert bool(by_weights[0, 1, 1, 2, 3].isnan()) == bool(lost)
    assert bool(by_locations[1, 4, 0, 0, 0].isnan().all()) == bool(lost)
    assert int(by_weights.isnan().sum()) == 3 * int(lost)
    assert bool(by_value.isnan().any()) == bool(lost)
    if not lost:
        assert_near(by_value, wanted)


def test_large_and_tiny_numbers(kernels: ctypes.CDLL) -> None:
    for factor in (1e-36, 1e-20, 1e20, 1e34):
        inputs = draw(0, queries=2)
        inputs.grad_output.mul_(factor)
        inputs = replace(inputs, value=inputs.value * 1e-3)
        by_value, *_ = backward(kernels, inputs, deterministic=True)
        assert_near(by_value, expected(inputs)[1])


def sums_of_cells(inputs: Inputs, pairs: int) -> int:
    """How many sums leave blocks of `pairs` neighbouring queries, if each has one sum a cell for
    every eight samples of a query; of one level.
    """
    ((height, width),) = inputs.sizes
    pixels = inputs.locations * torch.tensor([width, height]) - 0.5
    low = pixels.floor().long()
    corners = torch.stack([low + torch.tensor([i % 2, i // 2]) for i in range(4)], -2)
    within = ((corners >= 0) & (corners < torch.tensor([width, height]))).all(-1)
    cells = (corners[..., 1] * width + corners[..., 0]).where(within, -1)  # [B, Q, M, 1, P, 4]
    order = torch.arange(height * width).view(-1, 8, width).mT.flatten()  # bands of eight rows
    rounds = cells[:, order, :, 0].unflatten(1, (-1, pairs)).unflatten(-2, (-1, 8))
    groups = rounds.movedim(2, -1).flatten(-3).flatten(0, -2).tolist()
    return sum(len(set(group) - {-1}) for group in groups)


class TestSorted:
    """Blocks of neighbouring queries add up what goes to the same cell."""

    @pytest.mark.parametrize("channels", [20, 28, 32])
    @pytest.mark.parametrize("types", TYPES, ids=lambda types: f"{types[0]}-{types[1]}")
    def test_any_types(
        self, kernels: ctypes.CDLL, types: tuple[torch.dtype, torch.dtype], channels: int
    ) -> None:
        inputs = draw(1, types, channels=channels, queries=None, sizes=[(4, 5), (2, 3), (1, 1)])
        check(kernels, inputs, Shape(64, tiled=True, max_blocks=2, seed=channels))

    @pytest.mark.parametrize("threads", [32, 96, 256])
    @pytest.mark.parametrize("points", [1, 3, 4, 11])
    def test_any_cut(self, kernels: ctypes.CDLL, points: int, threads: int) -> None:
        inputs = draw(2, batch=1, queries=None, points=points, sizes=[(9, 3), (1, 2)])
        check(kernels, inputs, Shape(threads, tiled=True, max_blocks=1, seed=points))

    def test_addresses_that_no_vector_divides(self, kernels: ctypes.CDLL) -> None:
        inputs = draw(0, batch=1, queries=None, sizes=[(4, 3)])
        check(kernels, inputs, Shape(tiled=True), margin=MARGIN - 1)

    @pytest.mark.parametrize("deterministic", [False, True])
    @pytest.mark.parametrize("place", ["near", "one cell", "different cells", "outside"])
    def test_a_cell_is_added_to_once(
        self, kernels: ctypes.CDLL, place: str, deterministic: bool
    ) -> None:
        # In one block of 32 queries: up to 32 * 8 samples in 32 * 8 * 4 different cells.
        height, width = 32, 32
        inputs = draw(0, batch=1, heads=1, queries=None, points=8, sizes=[(height, width)])
        generator = torch.Generator().manual_seed(0)
        query = torch.arange(height * width)
        pixels = torch.stack([query % width, query // width], -1)[None, :, None, None, None].float()
        noise = torch.rand(inputs.locations.shape, generator=generator)
        if place == "near":
            pixels = pixels + 6 * noise - 3
        elif place == "one cell":
            pixels = 7.0 + 0.5 * (noise > 0.5)
        elif place == "different cells":
            sample = query[:, None] % 4 + 4 * (query[:, None] // width % 8) + 32 * torch.arange(8)
            pixels = torch.stack([sample % 16, sample // 16], -1)[None, :, None, None] * 2 + 0.5
        else:
            pixels = -5.0 - noise
        inputs = replace(inputs, locations=(pixels + 0.5) / torch.tensor([width, height]))
        shape = Shape(256, tiled=True, seed=1)
        by_value, *_ = backward(kernels, inputs, shape, deterministic=deterministic)
        added = kernels.added_bytes() / (32 * (8 if deterministic else 4))
        assert_near(by_value, expected(inputs)[1])
        once = sums_of_cells(inputs, 32)
        blocks = height * width // 32
        assert once <= added <= once + 31 * blocks  # the teams share out the terms


class TestDeterministic:
    """The gradient of the value; the others are not scattered."""

    SHAPES = (
        Shape(),
        Shape(32, max_blocks=1, seed=1),
        Shape(256, tiled=True, max_blocks=2, seed=2),
    )

    def gradients(self, kernels: ctypes.CDLL, inputs: Inputs) -> Iterator[Tensor]:
        for shape in self.SHAPES:
            yield backward(kernels, inputs, shape, deterministic=True)[0]

    @pytest.mark.parametrize("types", TYPES[:4])
    def test_same_bits(self, kernels: ctypes.CDLL, types: tuple[torch.dtype, torch.dtype]) -> None:
        inputs = draw(0, types, queries=None, sizes=[(5, 3)])
        first, *others = self.gradients(kernels, inputs)
        assert_near(first, expected(inputs)[1])
        assert all(torch.equal(other, first) for other in others)

    @pytest.mark.parametrize("tiled", [False, True])
    def test_the_largest_sum_does_not_overflow(self, kernels: ctypes.CDLL, tiled: bool) -> None:
        # All samples that there are in one cell, at numbers that end just below a power of two.
        inputs = draw(0, batch=1, heads=1, queries=None, points=4, sizes=[(9, 7), (1, 1)])
        inputs.locations.fill_(0.5)
        inputs.weights.fill_(1.99999)
        inputs.grad_output.fill_(-1.99999)
        by_value, *_ = backward(kernels, inputs, Shape(256, tiled), deterministic=True)
        assert_near(by_value, expected(inputs)[1])

    def test_plain_sums_depend_on_the_order(self, kernels: ctypes.CDLL) -> None:
        inputs = draw(0, queries=None, sizes=[(5, 3)])
        first, *others = (backward(kernels, inputs, shape)[0] for shape in self.SHAPES)
        assert not all(torch.equal(other, first) for other in others)

    @pytest.mark.parametrize("number", NOT_FINITE)
    @pytest.mark.parametrize("name", ["grad_output", "weights", "locations"])
    @pytest.mark.parametrize("types", TYPES[:3])
    @pytest.mark.parametrize("tiled", [False, True])
    def test_what_is_not_finite_is_seen(
        self,
        kernels: ctypes.CDLL,
        types: tuple[torch.dtype, torch.dtype],
        name: str,
        number: float,
        tiled: bool,
    ) -> None:
        inputs = draw(0, types, channels=20, queries=None, sizes=[(2, 3)])
        getattr(inputs, name).view(-1)[5] = number
        by_value, *_ = backward(kernels, inputs, Shape(tiled=tiled), deterministic=True)
        assert bool(by_value.isnan().all())

    def test_products_beyond_the_range_are_seen(self, kernels: ctypes.CDLL) -> None:
        inputs = draw(0, channels=8, queries=2)
        inputs.grad_output[0, 0, 0] = 1e25
        inputs.weights[0, 0, 0, 0, 0] = 1e25
        by_value, *_ = backward(kernels, inputs, deterministic=True)
        assert bool(by_value.isnan().all())
