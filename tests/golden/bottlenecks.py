"""ResNets by Detectron2's names of their weights: the small one of detrex's recorded cases, and a
ResNet-50.
"""

import hdetr_d2  # noqa: F401

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
import torchvision
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from torch import Tensor


class Bottlenecks(Backbone):
    """A stem, and one bottleneck block in each of four stages, strided in its 3x3 convolution.

    The weights are constants here: they are looked up, not learned.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.weights = {
            name.removeprefix("backbone."): value
            for name, value in weights.items()
            if name.startswith("backbone.")
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        channels = {3: 24, 4: 32, 5: 40}
        return {f"res{n}": ShapeSpec(channels=c, stride=2**n) for n, c in channels.items()}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = F.max_pool2d(self.conv(x, "stem.conv1", stride=2, padding=3).relu(), 3, 2, 1)
        maps = {}
        for level in range(2, 6):
            maps[f"res{level}"] = x = self.block(x, f"res{level}.0", stride=1 + (level > 2))
        return {name: maps[name] for name in self.output_shape()}

    def block(self, x: Tensor, name: str, stride: int) -> Tensor:
        y = self.conv(x, f"{name}.conv1").relu()
        y = self.conv(y, f"{name}.conv2", stride=stride, padding=1).relu()
        return (self.conv(y, f"{name}.conv3") + self.conv(x, f"{name}.shortcut", stride)).relu()

    def conv(self, x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        x = F.conv2d(x, self.weights[f"{name}.weight"], stride=stride, padding=padding)
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(self.weights[f"{name}.norm.{key}"] for key in keys))


def resnet50(device: str = "meta") -> dict[str, Tensor]:
    """Random weights; on the meta device without values."""
    with torch.device(device):
        state = torchvision.models.resnet50().state_dict()
    renamed = {}
    for name, value in state.items():
        name = re.sub(r"^layer(\d)", lambda m: f"res{int(m[1]) + 1}", name)
        name = re.sub(r"^(conv1|bn1)\.", r"stem.\1.", name)
        name = re.sub(r"bn(\d)\.", r"conv\1.norm.", name)
        name = name.replace("downsample.0.", "shortcut.").replace("downsample.1.", "shortcut.norm.")
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked"):
            renamed[f"backbone.{name}"] = value
    return renamed
