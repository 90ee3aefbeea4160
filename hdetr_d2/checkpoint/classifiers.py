"""ImageNet classifiers as initial weights of Detectron2's ResNets: the files of its zoo
(`R-50.pkl`) and torchvision's.

They expect a different colour order and scale than models here, which use RGB divided by the
standard deviation of `model.preprocessing`; the weights of the first convolution are adjusted
accordingly.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from hdetr_d2.checkpoint.weights import Misfit, require_finite
from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)

_HEADS = ("fc.", "fc1000.", "pred.", "stem.fc.")
_IMAGENET = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Kind:
    """A source of classifiers, and what its models expect.

    rename: maps a name (without the head) to that in Detectron2's ResNet. is_bgr: whether the first
    channel is blue. deviation: the divisor of the three channels, in RGB order. strides_first:
    whether bottlenecks have their stride in the first, 1x1, convolution instead of the second.
    """

    name: str
    rename: Callable[[str], str]
    is_bgr: bool
    deviation: tuple[float, float, float]
    strides_first: bool


def _from_caffe2(name: str) -> str:
    name = re.sub(r"_branch1(?=_)", "_shortcut", name)
    for number, letter in enumerate("abc", start=1):
        name = name.replace(f"_branch2{letter}", f"_conv{number}")
    name = re.sub(r"^(res_)?conv1_", "stem_conv1_", name)
    for short, word in {"w": "weight", "b": "bias", "s": "weight"}.items():
        name = re.sub(f"_bn_{short}$", f"_norm_{word}", name)
        name = re.sub(f"_{short}$", f"_{word}", name)
    return name.replace("_", ".")


def _from_torchvision(name: str) -> str:
    name = re.sub(r"^conv1\.", "stem.conv1.", name)
    name = re.sub(r"^bn1\.", "stem.conv1.norm.", name)
    name = re.sub(r"^layer(\d)\.", lambda found: f"res{int(found[1]) + 1}.", name)
    name = re.sub(r"\.bn(\d)\.", r".conv\1.norm.", name)
    return name.replace(".downsample.0.", ".shortcut.").replace(".downsample.1.", ".shortcut.norm.")


CAFFE2 = Kind("Caffe2", _from_caffe2, True, (1.0, 1.0, 1.0), True)
TORCHVISION = Kind("torchvision", _from_torchvision, False, _IMAGENET, False)
# It uses Detectron2's names already.
CONVERTED = Kind("torchvision", str, False, _IMAGENET, False)


@dataclass(frozen=True)
class Classifier:
    """The content of a file: its kind, and weights under the names of Detectron2's ResNet, without
    the head.
    """

    kind: Kind
    weights: Mapping[str, Tensor]

    @staticmethod
    def of(content: Mapping[str, Any]) -> "Classifier | None":
        """The classifier in a checkpoint's content; None if it is something else."""
        weights = content["model"]
        if "conv1_w" in weights:
            kind = CAFFE2
        elif "layer1.0.conv1.weight" in weights and "conv1.weight" in weights:
            kind = TORCHVISION
        elif content.get("__author__") == "torchvision" and "stem.conv1.weight" in weights:
            kind = CONVERTED
        else:
            return None
        named = {kind.rename(name): value for name, value in weights.items()}
        # Nothing reads the counter.
        kept = {k: v for k, v in named.items() if not k.endswith("num_batches_tracked")}
        return Classifier(kind, {k: v for k, v in kept.items() if not k.startswith(_HEADS)})


def put_classifier(model: nn.Module, classifier: Classifier, source: str) -> None:
    """Loads a classifier into a model's Detectron2 ResNet; the rest of the model is unchanged.

    Args:
        model: with `backbone` and `preprocessing.std`, `Tensor[3, 1, 1]`.
        source: the file, for the messages.

    Raises:
        UserError: the backbone is not a ResNet, has its strides elsewhere, or does not fit.
    """
    kind, weights = classifier.kind, dict(classifier.weights)
    resnet = _find_resnet(model.backbone, source)  # type: ignore[arg-type]
    _check_strides(resnet, kind, source)
    _check_names(resnet, weights, source)
    require_finite(weights, source)
    stem = weights["stem.conv1.weight"]
    stem = stem.flip(1) if kind.is_bgr else stem
    ours = model.preprocessing.std.to(stem).flatten()  # type: ignore[union-attr, operator]
    weights["stem.conv1.weight"] = stem * (ours / stem.new_tensor(kind.deviation))[:, None, None]
    resnet.load_state_dict(weights, strict=False)
    logger.info(
        "%s: the backbone starts from it (%s; its colours are %s with a deviation of %s, which the "
        "first convolution makes up for)",
        source, kind.name, "BGR" if kind.is_bgr else "RGB", list(kind.deviation),
    )  # fmt: skip


def _find_resnet(backbone: nn.Module, source: str) -> nn.Module:
    for module in backbone.modules():
        if hasattr(module, "stem") and hasattr(module, "res2"):
            return module
    raise UserError(
        f"{source} is a classifier for a ResNet of Detectron2, and model.backbone is a "
        f"{type(backbone).__name__}; weights of a timm model are model.backbone.pretrained"
    )


def _check_strides(resnet: nn.Module, kind: Kind, source: str) -> None:
    block = next(iter(getattr(resnet, "res3", [])), None)
    if block is None or not hasattr(block, "conv3"):
        return
    strides_first = max(block.conv1.stride) > 1
    if strides_first != kind.strides_first and max(block.conv1.stride + block.conv2.stride) > 1:
        raise UserError(
            f"blocks of {source} ({kind.name}) stride in the {_place(kind.strides_first)} "
            f"convolution, those of model.backbone in the {_place(strides_first)}: set "
            f"stride_in_1x1={kind.strides_first} there"
        )


def _place(first: bool) -> str:
    return "first (1x1)" if first else "second (3x3)"


def _check_names(resnet: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    misfit = Misfit.between(weights, resnet)
    # Caffe2's norms are a scale and a bias, and a backbone may end before the last stage.
    missing = [k for k in misfit.missing if not k.endswith(("_mean", "_var", "_tracked"))]
    unknown = [k for k in misfit.unexpected if hasattr(resnet, k.split(".")[0])]
    wrong = Misfit(missing, unknown, misfit.reshaped)
    if wrong:
        raise UserError(f"the weights of {source} do not fit the backbone: {wrong}")
