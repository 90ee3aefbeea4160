"""Constant norms in the convolutions before them: the same maps, in fewer operations."""

import hdetr_d2  # noqa: F401

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from timm.layers import StdConv2d
from torch import Tensor, nn

from hdetr_d2.modeling import DETR, TimmBackbone
from hdetr_d2.modeling.backbone import FrozenBatchNorm2d
from hdetr_d2.modeling.backbone.folding import FoldedConv2d, fold_for_good, fold_norms
from hdetr_d2.modeling.backbone.norm import batch_norms, replace


def norm_of(channels: int, seed: int = 0) -> nn.BatchNorm2d:
    norm, generator = nn.BatchNorm2d(channels).eval(), torch.Generator().manual_seed(seed)
    for values, (low, high) in {
        norm.weight: (0.5, 2.0),
        norm.bias: (-1.0, 1.0),
        norm.running_mean: (-1.0, 1.0),
        norm.running_var: (0.5, 2.0),
    }.items():
        values.data.uniform_(low, high, generator=generator)
    return norm


class Net(nn.Module):
    """A convolution and a norm, called in the ways that a test wants."""

    def __init__(self, conv: nn.Conv2d, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm or FrozenBatchNorm2d(norm_of(conv.out_channels))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"map": self.norm(self.conv(x))}


class UsedTwice(Net):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = self.conv(x)
        return {"map": self.norm(found), "other": found}


class CalledTwice(Net):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"map": self.norm(self.conv(x)) + self.conv(-x)}


class SomethingBetween(Net):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"map": self.norm(self.conv(x).relu())}


def pixels(channels: int = 3) -> Tensor:
    return torch.randn(1, channels, 9, 9, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def maps_of(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    return net(x)


def test_weights_by_hand():
    norm = nn.BatchNorm2d(1, eps=0.0).eval()
    norm.weight.data.fill_(3.0)
    norm.bias.data.fill_(0.5)
    norm.running_mean.fill_(1.0)
    norm.running_var.fill_(4.0)  # a factor of 3 / 2, a summand of 0.5 - 1.5
    net = Net(nn.Conv2d(1, 1, 1), FrozenBatchNorm2d(norm)).eval()
    net.conv.weight.data.fill_(2.0)
    net.conv.bias.data.fill_(4.0)
    (conv,) = fold_norms(net, 1)
    assert (conv.folded_weight.item(), conv.folded_bias.item()) == (3.0, 5.0)
    assert (conv.weight.item(), conv.bias.item()) == (2.0, 4.0)
    assert maps_of(net, torch.full((1, 1, 1, 1), 2.0))["map"].item() == 11.0
    assert maps_of(net.conv, torch.full((1, 1, 1, 1), 2.0)).item() == 11.0  # the norm does nothing


def test_the_activation_of_a_norm_stays():
    norm = norm_of(4)
    norm.act = nn.ReLU()
    net = Net(nn.Conv2d(3, 4, 3), FrozenBatchNorm2d(norm)).eval()
    before = maps_of(net, pixels())["map"]
    assert len(fold_norms(net, 3)) == 1
    found = maps_of(net, pixels())["map"]
    assert found.min() == 0
    torch.testing.assert_close(found, before)


@pytest.mark.parametrize(
    "net",
    [
        CalledTwice(nn.Conv2d(3, 4, 3)),
        SomethingBetween(nn.Conv2d(3, 4, 3)),
        UsedTwice(nn.Conv2d(3, 4, 3)),
        Net(StdConv2d(3, 4, 3)),
        Net(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)),
        Net(nn.Conv2d(3, 4, 3), norm_of(4)),
    ],
    ids=lambda net: f"{type(net).__name__}-{type(net.conv).__name__}-{type(net.norm).__name__}",
)
def test_what_cannot_be_folded_stays(net: Net):
    before = maps_of(net.eval(), pixels())
    assert fold_norms(net, 3) == []
    assert all(torch.equal(before[key], found) for key, found in maps_of(net, pixels()).items())


def test_in_16_bits_the_folded_weights_are_cast_once():
    net = Net(nn.Conv2d(3, 4, 3)).eval()
    before = maps_of(net, pixels())["map"]
    (conv,) = fold_norms(net, 3, torch.bfloat16)
    assert conv.folded_weight.dtype == conv.folded_bias.dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        found = maps_of(net, pixels())["map"]
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), before, rtol=0.02, atol=0.02)
    without = maps_of(net, pixels())["map"]
    assert without.dtype == torch.float32
    torch.testing.assert_close(without, before, rtol=0.02, atol=0.02)


def test_where_something_learns_it_is_as_without():
    torch.manual_seed(0)
    net = Net(nn.Conv2d(3, 4, 3)).eval()
    plain = deepcopy(net)
    assert list(fold_norms(net, 3)[0].state_dict()) == list(plain.conv.state_dict())
    for mode in (True, False):
        for each in (net.train(mode), plain.train(mode)):
            each.zero_grad()
            each(pixels())["map"].square().sum().backward()
        for name, parameter in plain.named_parameters():
            assert torch.equal(net.get_parameter(name).grad, parameter.grad), name


def test_evaluation_after_a_step_has_the_weights_of_now():
    net = Net(nn.Conv2d(3, 4, 3)).eval()
    fold_norms(net, 3)
    net.train()
    with torch.no_grad():
        net.conv.weight.mul_(2.0)
    expected = net(pixels())["map"]
    torch.testing.assert_close(maps_of(net.eval(), pixels())["map"], expected)


def test_other_weights_may_be_loaded():
    nets = [Net(nn.Conv2d(3, 4, 3), FrozenBatchNorm2d(norm_of(4, seed))).eval() for seed in (1, 2)]
    fold_norms(nets[0], 3)
    nets[0].load_state_dict(nets[1].state_dict())
    torch.testing.assert_close(*(maps_of(net, pixels()) for net in nets))


def test_a_copy_has_a_folding_of_its_own():
    net = Net(nn.Conv2d(3, 4, 3)).eval()
    fold_norms(net, 3)
    before, copy = maps_of(net, pixels()), deepcopy(net)
    with torch.no_grad():
        copy.conv.weight.zero_()
    copy.conv.fold()
    assert maps_of(copy, pixels())["map"].std((2, 3)).abs().max() == 0
    torch.testing.assert_close(maps_of(net, pixels()), before)
    copy.conv.train()  # and its norm looks at it, not at the other
    torch.testing.assert_close(
        maps_of(copy, pixels())["map"], maps_of(copy.norm, copy.conv(pixels()))
    )


def test_a_second_time_nothing_is_left_to_fold():
    net = Net(nn.Conv2d(3, 4, 3)).eval()
    assert len(fold_norms(net, 3)) == 1
    assert fold_norms(net, 3) == []


def test_a_net_that_will_not_learn_has_plain_convolutions_in_float32():
    net = Net(nn.Conv2d(3, 4, 3, padding=1, stride=2)).eval()
    before = maps_of(net, pixels())
    fold_norms(net, 3, torch.bfloat16)
    fold_for_good(net)
    assert type(net.conv) is nn.Conv2d
    torch.testing.assert_close(maps_of(net, pixels()), before)
    assert list(net.conv.state_dict()) == ["weight", "bias"]
    torch.testing.assert_close(net.train()(pixels()), before)


CONVOLUTIONS = {"resnet18": 20, "resnet50": 53, "regnetx_002": 44, "resnetv2_18": 8}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_every_convolution_of_a_resnet_takes_its_norm(name: str):
    """But for a pre-activation one, where the norm in front of a block follows a sum."""
    backbone = TimmBackbone(name=name, pretrained=False).eval()
    replace(backbone, batch_norms(backbone), FrozenBatchNorm2d)
    norms = [module for module in backbone.modules() if isinstance(module, FrozenBatchNorm2d)]
    for index, norm in enumerate(norms):
        norm.load_state_dict(norm_of(len(norm.weight), index).state_dict())
    x = torch.randn(1, 3, 65, 90, generator=torch.Generator().manual_seed(0))
    expected = maps_of(backbone, x)
    assert len(fold_norms(backbone, 3)) == CONVOLUTIONS[name]
    found = maps_of(backbone, x)
    for key, wanted in expected.items():
        torch.testing.assert_close(found[key] / wanted.abs().max(), wanted / wanted.abs().max())


def test_a_detector_detects_the_same(tiny_model: Callable[..., DETR]):
    model = tiny_model(backbone__norm=None).eval()
    replace(model.backbone, batch_norms(model.backbone), FrozenBatchNorm2d)
    saved = {key: value.clone() for key, value in model.state_dict().items()}
    image = [{"image": torch.randint(0, 256, (3, 60, 80)).float()}]
    with torch.inference_mode():
        (expected,) = model(image)
        (found,) = model.fold_norms()(image)
    assert any(isinstance(module, FoldedConv2d) for module in model.backbone.modules())
    torch.testing.assert_close(found["instances"].scores, expected["instances"].scores)
    boxes = [each["instances"].pred_boxes.tensor for each in (found, expected)]
    torch.testing.assert_close(*boxes, rtol=1e-4, atol=1e-3)
    assert list(model.state_dict()) == list(saved)
    assert all(torch.equal(value, saved[key]) for key, value in model.state_dict().items())
