"""ReLUs and sums of residual blocks as part of the constant norms before them: the same maps."""

import hdetr_d2  # noqa: F401

import pytest
import torch
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from hdetr_d2.modeling import TimmBackbone
from hdetr_d2.modeling.backbone import FrozenBatchNorm2d, fusing, without_pretrained

# How many blocks are fused; the others have something between a norm and its ReLU.
FUSED = {
    "resnet18": 8,
    "resnet26": 8,
    "resnext26ts": 0,  # blocks of another kind
    "resnetblur18": 5,  # a blur in the three blocks with a stride
    "seresnet18": 0,
}
KINDS = (fusing.FusedBasicBlock, fusing.FusedBottleneck)


def make(name: str, **options: object) -> TimmBackbone:
    """With constant norms of values that no two channels share."""
    with without_pretrained():
        backbone = TimmBackbone(name=name, pretrained=True, norm="frozen_bn", frozen=0, **options)
    generator = torch.Generator().manual_seed(0)
    for module in backbone.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.weight.uniform_(0.5, 1.0, generator=generator)
            module.bias.uniform_(-0.5, 0.5, generator=generator)
            module.fold()
    return backbone


def split(backbone: TimmBackbone) -> None:
    """Undoes what `fuse_blocks` does."""
    plain = {fused: block for block, fused in fusing._FUSED.items()}
    for module in backbone.modules():
        for norm in getattr(module, "norms", ()) if type(module) in plain else ():
            _give_back(module, norm)
        module.__class__ = plain.get(type(module), type(module))
    _give_back(backbone.net, "bn1")


def _give_back(owner: nn.Module, norm: str) -> None:
    constant = getattr(owner, norm, None)
    if isinstance(constant, FrozenBatchNorm2d) and type(constant.act) is nn.ReLU:
        setattr(owner, norm.replace("bn", "act"), constant.act)
        constant.act = nn.Identity()


def learn(backbone: TimmBackbone, x: Tensor) -> list[Tensor]:
    """The maps, and the gradients of the pixels and of all weights."""
    x = x.clone().requires_grad_()
    maps = [*backbone(x).values()]
    weights = [each for each in backbone.parameters() if each.requires_grad]
    total = sum((each * torch.linspace(-1, 1, each.shape[-1])).sum() for each in maps)
    return [*(each.detach() for each in maps), *torch.autograd.grad(total, [x, *weights])]


@pytest.mark.parametrize("name", FUSED)
def test_maps_and_gradients_are_those_of_single_steps(name: str) -> None:
    torch.manual_seed(0)
    backbone = make(name)
    assert sum(isinstance(module, KINDS) for module in backbone.modules()) == FUSED[name]
    x = torch.randn(2, 3, 64, 96)
    fused = learn(backbone, x)
    names = set(backbone.state_dict())
    split(backbone)
    assert not any(isinstance(module, KINDS) for module in backbone.modules())
    assert set(backbone.state_dict()) == names
    for one, other in zip(fused, learn(backbone, x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


def test_a_stem_is_fused_too() -> None:
    backbone = make("resnet18")
    assert type(backbone.net.bn1.act) is nn.ReLU
    assert type(backbone.net.act1) is nn.Identity


def test_norms_that_learn_are_left_alone() -> None:
    backbone = TimmBackbone(name="resnet18", pretrained=False, norm="bn", frozen=0)
    assert {type(m) for m in backbone.modules() if isinstance(m, BasicBlock)} == {BasicBlock}


def test_blocks_that_drop_are_left_alone() -> None:
    backbone = make("resnet26", drop_path_rate=0.1)
    kinds = [type(m) for m in backbone.modules() if isinstance(m, Bottleneck)]
    assert kinds.count(fusing.FusedBottleneck) == 1  # the first block is never dropped
    assert kinds.count(Bottleneck) == 7


def test_a_relu6_is_part_of_its_norm() -> None:
    """In what timm has as one module."""
    calls = []
    backbone = make("tf_efficientnet_lite0")
    for module in backbone.modules():
        if isinstance(module, FrozenBatchNorm2d) and type(module.act) is nn.ReLU6:
            module.act.register_forward_hook(lambda *call: calls.append(call))
    with torch.no_grad():
        found = backbone(torch.randn(1, 3, 64, 64))
    assert calls == []
    assert all(each.isfinite().all() for each in found.values())
