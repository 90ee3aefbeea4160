"""The stages of a timm model, and how names in its feature extractor correspond to those in its
classifier.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from hdetr_d2.errors import UserError


@dataclass(frozen=True)
class Stage:
    """A feature map that a timm model can return.

    index: its position in `out_indices`. module: the module that outputs it, by its name in the
    classifier. level: n of its name `res{n}`.
    """

    index: int
    module: str
    channels: int
    stride: int
    level: int


def find_stages(classifier: nn.Module) -> dict[str, Stage]:
    """Every feature map of a timm classifier by name, finest first.

    The name is `res{n}` for stride 2^n, or the next free n if a map is not coarser than the
    previous one.
    """
    stages: dict[str, Stage] = {}
    level = -1
    info = getattr(classifier.feature_info, "info", classifier.feature_info)
    for index, entry in enumerate(info):  # type: ignore[arg-type]
        level = max(int(math.log2(entry["reduction"])), level + 1)
        stages[f"res{level}"] = Stage(
            index, entry["module"], entry["num_chs"], entry["reduction"], level
        )
    return stages


def classifier_name(name: str, classifier: nn.Module) -> str:
    """Translates the name of a module or weight from timm's feature extractor to its classifier.

    Extractors either contain the whole model as one child, or the model's children, with those of a
    Sequential joined to its name by an underscore (`layers.0` is `layers_0`).
    """
    head, dot, rest = name.partition(".")
    if not head or hasattr(classifier, head):
        return name
    for container, _ in classifier.named_children():
        if head.startswith(f"{container}_"):
            return f"{container}.{head.removeprefix(container + '_')}{dot}{rest}"
    return rest


def modules_up_to(
    level: int, net: nn.Module, classifier: nn.Module, stages: Mapping[str, Stage]
) -> list[nn.Module]:
    """The stem of the extractor `net` and its stages up to `res{level}`; empty for level 0.

    Raises:
        UserError: the extractor does not consist of the classifier's stages.
    """
    if not level:
        return []
    # timm registers modules in execution order: the frozen ones are the beginning of this list.
    modules = [
        (f"{classifier_name(key, classifier)}.", module) for key, module in net.named_modules()
    ]
    spans = [
        [place for place, (name, _) in enumerate(modules) if name.startswith(f"{stage.module}.")]
        for stage in stages.values()
    ]
    if not spans[0]:
        raise UserError(
            f"model.backbone.frozen={level}: the stages of {type(classifier).__name__} are not "
            "modules."
        )
    reached = [
        span
        for span, stage in zip(spans, stages.values(), strict=True)
        if span and stage.level <= level
    ]
    end = reached[-1][-1] + 1 if reached else spans[0][0]
    return [module for _, module in modules[:end]]
