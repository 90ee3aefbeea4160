"""Queries to timm: models by name, accepting images of any size where possible."""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from torch import nn

from hdetr_d2.errors import UserError

# Options with which models with windows or position embeddings accept images of any size. Without
# always_partition a Swin's last stage would lose its shift.
_ANY_SIZE = {"strict_img_size": False, "always_partition": True, "dynamic_img_size": True}


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Converts a config's lists to tuples: timm compares some options with tuples."""
    return {
        key: tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for key, value in options.items()
    }


def family_of(name: str) -> str:
    """The timm module that defines the model."""
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise UserError(
            f"timm has no model {name!r}"
            + (f"; similar names are {', '.join(near)}." if near else ".")
        )
    return timm.model_entrypoint(name).__module__.rpartition(".")[2]


def meta_classifier(name: str, options: Mapping[str, Any]) -> nn.Module:
    """The whole model on the meta device, to inspect its maps and the names of its weights.

    Raises:
        UserError: arguments that the model does not accept.
    """
    try:
        with torch.device("meta"):
            return timm.create_model(name, pretrained=False, **options)
    except Exception as error:  # timm passes arguments on to code by many authors
        raise UserError(f"timm cannot build {name} with {dict(options)}: {error}.") from error


def any_size_options(classifier: nn.Module) -> dict[str, Any]:
    """The arguments with which models of that class accept images of any size, if there are any."""
    constructors = [vars(kind).get("__init__") for kind in type(classifier).__mro__]
    known = {key for init in constructors if init for key in inspect.signature(init).parameters}
    return {key: value for key, value in _ANY_SIZE.items() if key in known}


def image_side(classifier: nn.Module, options: Mapping[str, Any]) -> int:
    """The side in pixels of the square images that a model was made for."""
    config: Any = classifier.pretrained_cfg
    side = options.get("img_size") or config["input_size"][-1]
    return max(side) if isinstance(side, Sequence) else side


def extractor(name: str, out_indices: Sequence[int], options: Mapping[str, Any]) -> nn.Module:
    """The model reduced to those of its feature maps, with random weights.

    Raises:
        UserError: timm has no extractor for the model.
    """
    try:
        return timm.create_model(
            name, features_only=True, out_indices=tuple(out_indices), **options
        )
    except Exception as error:
        raise UserError(
            f"timm cannot give the feature maps of {name} ({type(error).__name__}: {error}): "
            "choose another model.backbone.name."
        ) from error
