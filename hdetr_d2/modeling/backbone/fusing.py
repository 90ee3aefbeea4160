"""Fuses ReLUs and shortcuts of ResNet blocks into the constant norms before them."""

from typing import ClassVar

from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from hdetr_d2.modeling.backbone.norm import FrozenBatchNorm2d


class FusedBasicBlock(BasicBlock):
    """A block whose norms include its ReLUs and its shortcut."""

    norms: ClassVar[tuple[str, ...]] = ("bn1", "bn2")

    def forward(self, x: Tensor) -> Tensor:
        """`Tensor[B, C_in, H, W]` to `Tensor[B, C_out, H', W']`."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x))
        return self.bn2(self.conv2(x), shortcut)


class FusedBottleneck(Bottleneck):
    """A block whose norms include its ReLUs and its shortcut."""

    norms: ClassVar[tuple[str, ...]] = ("bn1", "bn2", "bn3")

    def forward(self, x: Tensor) -> Tensor:
        """`Tensor[B, C_in, H, W]` to `Tensor[B, C_out, H', W']`."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x))
        x = self.bn2(self.conv2(x))
        return self.bn3(self.conv3(x), shortcut)


_FUSED: dict[type, type[FusedBasicBlock] | type[FusedBottleneck]] = {
    BasicBlock: FusedBasicBlock,
    Bottleneck: FusedBottleneck,
}


def fuse_blocks(net: nn.Module) -> None:
    """Fuses what follows the constant norms of timm's ResNets below `net`, in the stem and in
    blocks with nothing else between a norm and its ReLU. Names of weights stay the same.
    """
    if _can_take(net, "bn1", "act1"):
        _take(net, "bn1", "act1")
    for block in net.modules():
        fused = _FUSED.get(type(block))
        if fused is None:
            continue
        pairs = [(name, name.replace("bn", "act")) for name in fused.norms]
        if _is_plain(block) and all(_can_take(block, *pair) for pair in pairs):
            block.__class__ = fused
            for pair in pairs:
                _take(block, *pair)


def _is_plain(block: nn.Module) -> bool:
    between = (getattr(block, name, None) for name in ("drop_block", "aa", "se", "drop_path"))
    return all(each is None or isinstance(each, nn.Identity) for each in between)


def _can_take(owner: nn.Module, norm: str, act: str) -> bool:
    """Whether it has a constant norm without an activation, and a ReLU."""
    constant = getattr(owner, norm, None)
    free = isinstance(constant, FrozenBatchNorm2d) and isinstance(constant.act, nn.Identity)
    return free and type(getattr(owner, act, None)) is nn.ReLU


def _take(owner: nn.Module, norm: str, act: str) -> None:
    getattr(owner, norm).act = getattr(owner, act)
    setattr(owner, act, nn.Identity())
