"""The position of the stride in a ResNet's bottlenecks."""

from timm.models.resnet import Bottleneck
from torch import nn

from hdetr_d2.errors import UserError


def stride_in_1x1(net: nn.Module, name: str) -> None:
    """Moves the stride of each bottleneck from its 3x3 convolution to the preceding 1x1
    convolution, as in the original ResNets (https://arxiv.org/abs/1512.03385) and Detectron2's
    weights for them.

    Raises:
        UserError: the model `name` has no such bottlenecks.
    """
    strided = [
        module
        for module in net.modules()
        if isinstance(module, Bottleneck) and module.conv2.stride != (1, 1)
    ]
    if not strided:
        raise UserError(f"model.backbone.stride_in_1x1: {name} has no bottlenecks with a stride.")
    for block in strided:
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
