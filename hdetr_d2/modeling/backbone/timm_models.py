"""What is asked of timm before one of its models is built."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from torch import nn

from hdetr_d2.errors import UserError


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with tuples for a config's lists: timm compares some of them with tuples."""
    return {
        key: tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for key, value in options.items()
    }


def family_of(name: str) -> str:
    """The module of timm that defines the model."""
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise UserError(
            f"timm has no model {name!r}" + (f"; near it are {', '.join(near)}." if near else ".")
        )
    return timm.model_entrypoint(name).__module__.rpartition(".")[2]


def meta_classifier(name: str, options: Mapping[str, Any]) -> nn.Module:
    """The whole model without memory: what maps it has and how its weights are called."""
    try:
        with torch.device("meta"):
            return timm.create_model(name, pretrained=False, **options)
    except (TypeError, NotImplementedError) as error:
        raise UserError(f"timm cannot build {name} with {dict(options)}: {error}.") from error
