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


def given(*names: str) -> dict[str, ShapeSpec]:
    """What a backbone says of maps with these names; that of p3 has 30 channels and stride 8."""
    numbers = {name: int(name[1:]) for name in names}
    return {name: ShapeSpec(channels=10 * n, stride=2**n) for name, n in numbers.items()}


@pytest.mark.parametrize(
    ("arguments", "backbone"),
    [
        ({}, given("p5", "p3", "p4")),  # the finest first, wherever it stands
        ({"in_features": ["p3", "p4", "p5"]}, given("p2", "p3", "p4", "p5", "p6")),
        ({"in_shapes": [30, 40, 50]}, given("p3", "p4", "p5")),
        ({"in_shapes": given("p5", "p4", "p3")}, given("p2", "p3", "p4", "p5", "p6")),
        ({}, {f"p{n}": ShapeSpec(channels=10 * n) for n in (3, 4, 5)}),  # no strides: their order
    ],
)
def test_what_is_not_told_follows_from_the_backbone(arguments: dict, backbone: dict):
    neck = ChannelMapper(**arguments, out_channels=32)
    neck.connect(backbone)
    assert neck.in_features == ("p3", "p4", "p5")
    assert neck.in_channels == {"p3": 30, "p4": 40, "p5": 50}
    assert [conv.in_channels for conv, _ in neck.projections] == [30, 40, 50, 50]
    before = neck.projections
    neck.connect(backbone)  # the neck of a second detector is no other one
    assert neck.projections is before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, r"num_levels=4 .* \['p2', 'p3', 'p4', 'p5', 'p6'\]: every .* neck.in_features names"),
        ({"in_shapes": [30, 40]}, r"in_shapes has 2 numbers for the features \['p2', .*'p6'\]"),
        ({"in_features": ["p3", "p7"]}, r"in_features has \['p7'\], but the backbone gives \['p2'"),
        ({"in_features": []}, "at least one"),
    ],
)
def test_what_does_not_fit_the_backbone_is_told(arguments: dict, sentence: str):
    neck = ChannelMapper(**arguments)
    with pytest.raises(ValueError, match=sentence):
        neck.connect(given("p2", "p3", "p4", "p5", "p6"))


def test_channels_that_are_told_make_the_layers_at_once():
    """So that the random numbers of what is built next stay the same."""
    torch.manual_seed(0)
    named = ChannelMapper(in_shapes=[8, 16], in_features=["res3", "res5"], out_channels=32)
    after = torch.rand(1)
    torch.manual_seed(0)
    neck = ChannelMapper(in_shapes=[8, 16], out_channels=32)
    assert torch.equal(torch.rand(1), after)
    neck.connect(SHAPES)
    for one, other in zip(neck.parameters(), named.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_detector_of_which_only_the_backbone_is_told(tiny_model, make_batch):
    model = tiny_model(neck__in_shapes=None)
    assert model.neck.in_channels == {"res3": 48, "res4": 192, "res5": 96}
    losses = model(make_batch([2, 0]))
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.neck.parameters())
