"""The drop-in as other projects would call it: each class and function here calls the operator as
one of them does.
"""

import hdetr_d2  # noqa: F401

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hdetr_d2.ops import drop_in, ms_deform_attn

sys.path.insert(0, str(Path(__file__).parent))
from attention_inputs import SHAPES, differentiate, random_inputs

pytestmark = pytest.mark.filterwarnings("ignore:ms_deform_attn runs in PyTorch's own operations")


class TheirFunction(torch.autograd.Function):
    """An autograd function around a compiled module, here the drop-in in its place."""

    @staticmethod
    def forward(ctx, value, shapes, starts, locations, weights, im2col_step):
        ctx.im2col_step = im2col_step
        ctx.save_for_backward(value, shapes, starts, locations, weights)
        return drop_in.ms_deform_attn_forward(
            value, shapes, starts, locations, weights, im2col_step
        )

    @staticmethod
    def backward(ctx, grad_output):
        value, shapes, starts, locations, weights = ctx.saved_tensors
        by_value, by_locations, by_weights = drop_in.ms_deform_attn_backward(
            value, shapes, starts, locations, weights, grad_output, ctx.im2col_step
        )
        return by_value, None, None, by_locations, by_weights, None


class TheirLayer(nn.Module):
    """A layer that has the sizes on the host and on the device."""

    def forward(
        self, value, spatial_shapes, spatial_shapes_list, starts, locations, weights, im2col_step
    ):
        raise NotImplementedError


@pytest.fixture(autouse=True)
def forget_shapes() -> Iterator[None]:
    drop_in._known.clear()
    yield
    drop_in._known.clear()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The tensors that were read as from a device, in order."""
    monkeypatch.setattr(drop_in, "_is_on_host", lambda tensor: False)
    seen: list[Tensor] = []
    read = drop_in._read
    monkeypatch.setattr(drop_in, "_read", lambda shapes: seen.append(shapes) or read(shapes))
    return seen


def level_tensors(shapes) -> tuple[Tensor, Tensor]:
    sizes = torch.tensor(shapes)
    areas = sizes.prod(1)
    return sizes, areas.cumsum(0) - areas


@pytest.mark.parametrize("apply", [drop_in.MSDeformAttnFunction.apply, TheirFunction.apply])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_the_signature_of_the_autograd_function(apply, dtype):
    inputs = random_inputs(dtype=dtype)
    sizes, starts = level_tensors(inputs[1])

    def function(value, shapes, locations, weights):
        return apply(value, sizes, starts, locations, weights, 64)

    expected = differentiate(ms_deform_attn, *inputs)
    torch.testing.assert_close(differentiate(function, *inputs), expected, rtol=0, atol=0)


def test_gradients_come_in_the_dtypes_of_the_arguments():
    value, shapes, locations, weights = random_inputs(dtype=torch.float32)
    sizes, starts = level_tensors(shapes)
    given = (value.bfloat16(), sizes, starts, locations.bfloat16(), weights.half())
    gradients = drop_in.ms_deform_attn_backward(*given, torch.ones(2, 5, 6), 64)
    assert [g.dtype for g in gradients] == [torch.bfloat16, torch.bfloat16, torch.float16]


def test_gradients_without_kernels_are_the_same(monkeypatch):
    value, shapes, locations, weights = random_inputs()
    sizes, starts = level_tensors(shapes)
    given = (value, sizes, starts, locations, weights, torch.rand(2, 5, 6, dtype=torch.float64), 64)
    expected = drop_in.ms_deform_attn_backward(*given)
    monkeypatch.setattr(drop_in, "why_no_kernels", lambda *arguments: "missing.")
    with torch.no_grad():  # as in the backward of an autograd function
        answer = drop_in.ms_deform_attn_backward(*given)
    torch.testing.assert_close(answer, expected)


def test_the_function_for_a_cpu():
    value, shapes, locations, weights = random_inputs()
    sizes, _ = level_tensors(shapes)
    out = drop_in.multi_scale_deformable_attn_pytorch(value, sizes, locations, weights)
    assert torch.equal(out, ms_deform_attn(value, shapes, locations, weights))


def test_the_layer_of_transformers(monkeypatch, reads):
    layer = TheirLayer()  # built before the line that changes its class
    monkeypatch.setattr(TheirLayer, "forward", drop_in.transformers_forward)
    value, shapes, locations, weights = random_inputs()
    sizes, starts = level_tensors(shapes)
    out = layer(value, sizes, list(shapes), starts, locations, weights, 64)
    assert torch.equal(out, ms_deform_attn(value, shapes, locations, weights))
    assert not reads


def test_a_tensor_of_sizes_is_read_once(reads):
    value, shapes, locations, weights = random_inputs()
    sizes, starts = level_tensors(shapes)
    for _ in range(3):
        drop_in.MSDeformAttnFunction.apply(value, sizes, starts, locations, weights, 64)
    assert [id(tensor) for tensor in reads] == [id(sizes), id(starts)]
    same = sizes.clone()  # another object, even if it holds the same
    drop_in.MSDeformAttnFunction.apply(value, same, starts, locations, weights, 64)
    assert len(reads) == 3


def test_a_backward_pass_reads_nothing(reads):
    value, shapes, locations, weights = random_inputs()
    sizes, starts = level_tensors(shapes)
    value.requires_grad_()
    TheirFunction.apply(value, sizes, starts, locations, weights, 64).sum().backward()
    assert len(reads) == 2


def test_a_tensor_that_was_written_to_is_read_again(reads):
    sizes, _ = level_tensors(SHAPES)
    assert drop_in.host_shapes(sizes) == [(3, 4), (2, 2)]
    sizes[1, 1] = 5
    assert drop_in.host_shapes(sizes) == [(3, 4), (2, 5)]
    assert len(reads) == 2


def test_a_tensor_with_other_memory_is_read_again(reads):
    sizes, _ = level_tensors(SHAPES)
    assert drop_in.host_shapes(sizes) == [(3, 4), (2, 2)]
    sizes.data = torch.tensor([(2, 2), (3, 4)])
    assert drop_in.host_shapes(sizes) == [(2, 2), (3, 4)]


def through_numpy(sizes: Tensor) -> None:
    sizes.numpy()[:] = [(4, 3), (2, 2)]


def through_data(sizes: Tensor) -> None:
    sizes.data.copy_(torch.tensor([(4, 3), (2, 2)]))


def through_an_alias(sizes: Tensor) -> None:
    torch.from_dlpack(sizes.detach()).copy_(torch.tensor([(4, 3), (2, 2)]))


@pytest.mark.parametrize("write", [through_numpy, through_data, through_an_alias])
def test_writes_that_pytorch_does_not_count_are_seen_on_the_host(write):
    """The new sizes have as many cells: nothing else would notice."""
    value, shapes, locations, weights = random_inputs()
    sizes, starts = level_tensors(shapes)
    before = drop_in.ms_deform_attn_forward(value, sizes, starts, locations, weights, 64)
    assert torch.equal(before, ms_deform_attn(value, shapes, locations, weights))
    write(sizes)
    after = drop_in.ms_deform_attn_forward(value, sizes, starts, locations, weights, 64)
    assert torch.equal(after, ms_deform_attn(value, [(4, 3), (2, 2)], locations, weights))


@pytest.mark.parametrize("starts", [[4, 0], [0, 4], [0, 12, 16]])
def test_levels_in_another_order_are_refused(starts):
    value, shapes, locations, weights = random_inputs()
    sizes, _ = level_tensors(shapes)
    message = r"follow each other in the order of their sizes: \[0, 12\]"
    for given in (sizes, [*shapes]):
        with pytest.raises(ValueError, match=message):
            drop_in.MSDeformAttnFunction.apply(
                value, given, torch.tensor(starts), locations, weights, 64
            )


def test_a_tensor_that_is_gone_is_forgotten(reads):
    sizes, _ = level_tensors(SHAPES)
    drop_in.host_shapes(sizes)
    assert len(drop_in._known) == 1
    reads.clear()
    del sizes
    gc.collect()
    assert len(drop_in._known) == 0


def test_in_inference_mode_a_tensor_has_no_version(reads):
    with torch.inference_mode():
        sizes, _ = level_tensors(SHAPES)
        assert drop_in.host_shapes(sizes) == [(3, 4), (2, 2)]
        sizes[0, 0] = 1
        assert drop_in.host_shapes(sizes) == [(1, 4), (2, 2)]


@pytest.mark.parametrize("sizes", [SHAPES, [[3, 4], [2, 2]], [torch.Size([3, 4]), (2, 2)]])
def test_sizes_on_the_host_are_taken_as_they_are(sizes, reads):
    value, shapes, locations, weights = random_inputs()
    out = drop_in.MSDeformAttnFunction.apply(value, sizes, None, locations, weights)
    assert torch.equal(out, ms_deform_attn(value, shapes, locations, weights))
    assert not reads


@pytest.mark.parametrize("name", ["mask2former", "oneformer"])
def test_the_function_of_transformers(name):
    models = pytest.importorskip(f"transformers.models.{name}.modeling_{name}")
    value, shapes, locations, weights = random_inputs()
    sizes = [*shapes]

    def with_sizes(function):
        return lambda v, _, s, w: function(v, sizes, s, w)

    answer = differentiate(
        with_sizes(drop_in.multi_scale_deformable_attn_pytorch), value, shapes, locations, weights
    )
    theirs = with_sizes(models.multi_scale_deformable_attention)
    expected = differentiate(theirs, value, shapes, locations, weights)
    torch.testing.assert_close(answer, expected)


@pytest.mark.parametrize("points", [[2, 2], [1, 2], [3, 1]], ids=str)
def test_levels_with_different_numbers_of_samples(points: list[int]) -> None:
    """Each level alone is an attention with samples of one level."""
    value, shapes, _, _ = random_inputs()
    images, _, heads, _ = value.shape
    generator = torch.Generator().manual_seed(3)
    draw = dict(generator=generator, dtype=value.dtype)
    locations = torch.rand(images, 5, heads, sum(points), 2, **draw)
    weights = torch.rand(images, 5, heads, sum(points), **draw)
    answer = differentiate(
        lambda v, sizes, x, w: drop_in.multi_scale_deformable_attention_v2(v, sizes, x, w, points),
        value,
        shapes,
        locations,
        weights,
    )

    def by_level(v, sizes, x, w):
        cells = [height * width for height, width in sizes]
        levels = zip(v.split(cells, 1), sizes, x.split(points, 3), w.split(points, 3), strict=True)
        return sum(
            ms_deform_attn(of_level, [size], places[:, :, :, None], shares[:, :, :, None])
            for of_level, size, places, shares in levels
        )

    torch.testing.assert_close(answer, differentiate(by_level, value, shapes, locations, weights))


def test_samples_that_are_not_bilinear_are_refused():
    value, shapes, locations, weights = random_inputs()
    with pytest.raises(ValueError, match="method='discrete': ms_deform_attn is bilinear"):
        drop_in.multi_scale_deformable_attention_v2(
            value, shapes, locations.flatten(3, 4), weights.flatten(3), [2, 2], "discrete"
        )


@pytest.mark.parametrize("name", ["rt_detr_v2", "d_fine", "deimv2"])
@pytest.mark.parametrize("points", [[2, 2], [1, 3]], ids=str)
def test_the_second_function_of_transformers(name, points):
    models = pytest.importorskip(f"transformers.models.{name}.modeling_{name}")
    value, shapes, _, _ = random_inputs()
    images, _, heads, _ = value.shape
    locations = torch.rand(images, 5, heads, sum(points), 2, dtype=value.dtype)
    weights = torch.rand(images, 5, heads, sum(points), dtype=value.dtype)
    sizes = [*shapes]

    def with_points(function):
        return lambda v, _, s, w: function(v, sizes, s, w, points)

    ours, theirs = (
        with_points(module.multi_scale_deformable_attention_v2) for module in (drop_in, models)
    )
    answer = differentiate(ours, value, shapes, locations, weights)
    expected = differentiate(theirs, value, shapes, locations, weights)
    torch.testing.assert_close(answer, expected)


def test_sizes_that_are_no_pairs_are_named():
    value, _, locations, weights = random_inputs()
    for given in (None, [3, 4, 2, 2], torch.tensor([3, 4, 2, 2])):
        with pytest.raises(TypeError, match=r"^spatial_shapes must be \(H, W\) of each level"):
            drop_in.multi_scale_deformable_attn_pytorch(value, given, locations, weights)


def test_numbers_of_samples_that_do_not_add_up():
    value, _, locations, weights = random_inputs()
    given = value, SHAPES, locations.flatten(3, 4), weights.flatten(3)
    with pytest.raises(ValueError, match=r"^num_points_list \[1, 2\] has 3 samples, but sampling"):
        drop_in.multi_scale_deformable_attention_v2(*given, [1, 2])
