"""The recorded cases of the released code, and its names as ours."""

import sys
from pathlib import Path

from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "golden"))
import golden
from golden_inputs import training_inputs

from hdetr_d2.projects.route_detr.importer_names import rename

__all__ = ["gradient_norms", "load", "part", "renamed_layer", "training_inputs"]


def load(name: str) -> golden.Case:
    return golden.load(name, Path(__file__).parent)


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights below a prefix, by what follows it."""
    return {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}


def renamed_layer(case: golden.Case) -> dict[str, Tensor]:
    """The weights of the recorded decoder layer, as those of layer 0 of a model."""
    state = case.state_dict()
    return {rename(f"transformer.decoder.layers.0.{name}", 1): v for name, v in state.items()}


def gradient_norms(model: nn.Module) -> dict[str, float]:
    """By parameter name, of those that have one."""
    named = model.named_parameters()
    return {name: p.grad.norm().item() for name, p in named if p.grad is not None}
