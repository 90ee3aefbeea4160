"""Teachers that provide feature maps."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdetr_d2.inference.loading import open_checkpoint
from hdetr_d2.modeling import DETR, Preprocessing
from hdetr_d2.modeling.backbone import TimmBackbone
from hdetr_d2.teachers.frozen import Frozen

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""ImageNet's pixel statistics, as timm's models expect them."""


class _Eye(nn.Module):
    """A backbone with its preprocessing.

    Args:
        feature: the name of one of its maps.
        shrink: images are first averaged over squares of this many pixels.
    """

    def __init__(
        self, preprocessing: Preprocessing, backbone: nn.Module, feature: str, shrink: int
    ) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.backbone = backbone
        self.feature = feature
        self.shrink = shrink

    def forward(self, images: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """The map of `images` that are padded to `size`."""
        tensor = self.preprocessing(images).tensor
        height, width = (side - given for side, given in zip(size, tensor.shape[-2:], strict=True))
        tensor = F.pad(tensor, (0, width, 0, height))
        if self.shrink > 1:
            tensor = F.avg_pool2d(tensor, self.shrink, ceil_mode=True)
        return self.backbone(tensor)[self.feature]


class _FeatureTeacher(Frozen[_Eye]):
    @torch.no_grad()
    def __call__(
        self, inputs: Sequence[dict], size: tuple[int, int], device: torch.device
    ) -> Tensor:
        """See `FeatureTeacher`."""
        return self.net(device)([item["image"] for item in inputs], size)


class TimmTeacher(_FeatureTeacher):
    """A `FeatureTeacher`: a timm model."""

    def __init__(
        self, name: str, *, feature: str, pretrained: bool | str = True, shrink: int = 1
    ) -> None:
        """
        Args:
            name, pretrained: see `TimmBackbone`; pixels are normalised by ImageNet's statistics.
            feature: the map to learn, such as "res5"; in a plain ViT with patches of 16 pixels,
                "res4" is the output of the first block, "res15" that of the twelfth.
            shrink: images are first averaged over squares of this many pixels (RT-DETRv4 uses 2, so
                that a ViT with patches of 16 pixels has maps of stride 32).
        """
        self.name = name
        self.feature = feature
        self.pretrained = pretrained
        self.shrink = shrink

    def build(self, device: torch.device) -> _Eye:
        """See `Frozen`."""
        backbone = TimmBackbone(
            name=self.name, out_features=[self.feature], pretrained=self.pretrained
        )
        preprocessing = Preprocessing(pixel_mean=MEAN, pixel_std=STD)
        return _Eye(preprocessing, backbone, self.feature, self.shrink)


class BackboneTeacher(_FeatureTeacher):
    """A `FeatureTeacher`: the backbone of a checkpoint written by train_net.py."""

    def __init__(self, checkpoint: str, *, feature: str, trust: Sequence[str] = ()) -> None:
        """
        Args:
            checkpoint: the file.
            feature: the map to learn, one of those that its detector uses.
            trust: additional packages with parts of the checkpoint, see `Predictor`.
        """
        self.checkpoint = checkpoint
        self.feature = feature
        self.trust = tuple(trust)

    def build(self, device: torch.device) -> _Eye:
        """See `Frozen`."""
        detector: DETR = open_checkpoint(self.checkpoint, str(device), self.trust).model  # type: ignore[assignment]
        return _Eye(detector.preprocessing, detector.backbone, self.feature, 1)
