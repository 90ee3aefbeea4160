import math

import pytest
import torch
from detectron2.layers import ShapeSpec

from hdetr_d2.modeling.neck import ChannelMapper

SHAPES = {"res3": ShapeSpec(channels=8, stride=8), "res5": ShapeSpec(channels=16, stride=32)}


def make_features() -> dict[str, torch.Tensor]:
    return {"res3": torch.randn(2, 8, 12, 20), "res5": torch.randn(2, 16, 3, 5)}


def test_levels_have_one_width_and_halve_after_the_last_feature():
    neck = ChannelMapper(
        in_shapes=SHAPES, in_features=["res3", "res5"], out_channels=32, num_levels=4
    )
    levels = neck(make_features())
    sizes = [(2, 32, 12, 20), (2, 32, 3, 5), (2, 32, 2, 3), (2, 32, 1, 2)]
    assert [tuple(level.shape) for level in levels] == sizes


def test_further_levels_start_at_the_backbones_last_feature():
    neck = ChannelMapper(in_shapes=[16], in_features=["res5"], out_channels=32, num_levels=3)
    x = torch.randn(2, 16, 3, 5)
    first, second, third = neck({"res5": x})
    assert torch.equal(first, neck.projections[0](x))
    assert torch.equal(second, neck.projections[1](x))
    assert torch.equal(third, neck.projections[2](second))


def test_initialisation():
    neck = ChannelMapper(in_shapes=[8, 16], in_features=["res3", "res5"], out_channels=64)
    fans = [8 + 64, 16 + 64, (16 + 64) * 9, (64 + 64) * 9]
    for (conv, norm), fan in zip(neck.projections, fans, strict=True):
        bound = math.sqrt(6 / fan)
        assert 0.9 * bound < conv.weight.abs().max().item() <= bound
        assert not conv.bias.any()
        assert norm.num_groups == 32


def test_every_parameter_learns():
    neck = ChannelMapper(in_shapes=SHAPES, in_features=["res3", "res5"], out_channels=32)
    sum(level.pow(2).sum() for level in neck(make_features())).backward()
    assert all(parameter.grad.isfinite().all() for parameter in neck.parameters())


def test_convolutions_without_bias():
    neck = ChannelMapper(in_shapes=[16], in_features=["res5"], out_channels=32, bias=False)
    assert [conv.bias for conv, _ in neck.projections] == [None] * 4
    assert all(norm.bias is not None for _, norm in neck.projections)


def test_without_norm_and_without_further_levels():
    neck = ChannelMapper(
        in_shapes=SHAPES, in_features=["res5"], out_channels=10, num_levels=1, norm_groups=None
    )
    x = make_features()["res5"]
    (level,) = neck({"res5": x})
    weight, bias = neck.projections[0][0].weight[:, :, 0, 0], neck.projections[0][0].bias
    expected = torch.einsum("oc,bchw->bohw", weight, x) + bias[:, None, None]
    torch.testing.assert_close(level, expected)
    assert weight.abs().max() <= 1 / math.sqrt(16) and bias.any()  # as PyTorch starts


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"in_shapes": SHAPES, "in_features": ["res3", "res4"]}, r"\['res4'\].*\['res3', 'res5'\]"),
        ({"in_shapes": SHAPES, "in_features": ["res3", "res5"], "num_levels": 1}, "num_levels=1"),
        ({"in_shapes": SHAPES, "in_features": []}, "at least one"),
        ({"in_shapes": [8], "in_features": ["res3", "res5"]}, "1 numbers for the features"),
    ],
)
def test_what_does_not_fit_is_told(arguments: dict, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        ChannelMapper(**arguments)
