"""Every model of the configs, and every scheme on a model of several levels and on one of one."""

from collections.abc import Iterable
from itertools import product
from pathlib import Path

from detectron2.config import LazyConfig

from hdetr_d2.schemes import Scheme

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
PLUS_PLUS = "common/models/deformable_detr_pp.py"
DENSE = "common/models/detr.py"
MODELS = sorted(
    str(path.relative_to(CONFIGS)) for path in (CONFIGS / "common" / "models").glob("*.py")
)
COMMON = [CONFIGS / "common" / "schemes.py", *ROOT.glob("projects/*/configs/common/*.py")]
SCHEMES = {
    name: node
    for path in COMMON
    for name, node in LazyConfig.load(str(path)).items()
    if isinstance(node.get("_target_"), type) and issubclass(node._target_, Scheme)
}
SCHEMES["kd_detr"].num_random = 8
SCHEMES["feature_distillation"].update(teacher_dim=96)
SCHEMES["feature_distillation"].teacher.update(name="test_resnet", feature="res5", pretrained=False)
# A scheme that is told the strides of several levels is not for a model of one.
RECIPES: list[tuple[str, str | None]] = [(path, None) for path in MODELS]
RECIPES += [
    (path, name)
    for path, name in product([PLUS_PLUS, DENSE], SCHEMES)
    if path != DENSE or "strides" not in SCHEMES[name]
]


def contradict(one: str, other: str) -> bool:
    """Whether two schemes have the same name in the losses, or set the same thing."""
    first, second = SCHEMES[one]._target_, SCHEMES[other]._target_
    return first is second or (first.sets_capacity and second.sets_capacity)


def together(names: Iterable[str], most: int = 5) -> list[tuple[str, ...]]:
    """Each scheme once, in sets of so many at most that one model can have: fewer models."""
    sets: list[tuple[str, ...]] = []
    for name in names:
        open_sets = (each for each in sets if len(each) < most)
        fitting = (each for each in open_sets if not any(contradict(name, x) for x in each))
        chosen = next(fitting, ())
        sets = [each for each in sets if each != chosen] + [(*chosen, name)]
    return sets


SETS: list[tuple[str, tuple[str, ...]]] = [(path, ()) for path in MODELS]
SETS += [
    (path, names)
    for path in (PLUS_PLUS, DENSE)
    for names in together(name for model, name in RECIPES if model == path and name)
]


def name_of(value: object) -> str | None:
    """A readable test id of a set of schemes."""
    return "+".join(value) if isinstance(value, tuple) else None
