"""The shorthand arguments `--data`, `--epochs` and `--scheme`; each stands for overrides."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.config import LazyConfig
from omegaconf import DictConfig

from hdetr_d2.engine.config import load_config, plain_config
from hdetr_d2.engine.shipped import shipped_root
from hdetr_d2.errors import UserError
from hdetr_d2.utils.override_text import quoted

SCHEMES = Path("configs", "common", "schemes.py")


def add_words(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", metavar="FOLDER", help="a data set in any known format (data.folder=FOLDER)")
    add("--epochs", type=float, help="train.epochs, with milestones moved in proportion")
    what = "a scheme of configs/common/schemes.py in place of the config's; repeat for more"
    add("--scheme", action="append", metavar="NAME", help=what)


def overrides_of(args: argparse.Namespace) -> list[str]:
    """The overrides that the arguments stand for.

    Raises:
        UserError: an unknown scheme.
    """
    overrides = []
    if args.data is not None:
        overrides.append(f"data.folder={quoted(args.data)}")
    if args.epochs is not None:
        overrides += _for_epochs(load_config(args.config_file), args.epochs)
    if args.scheme is not None:
        overrides.append(f"model.schemes={_typed(scheme_nodes(args.scheme))}")
    return overrides


def _for_epochs(cfg: DictConfig, epochs: float) -> list[str]:
    """Overrides for this number of epochs; milestones stay at the same fractions of the
    training.
    """
    overrides = [f"train.epochs={epochs:g}"]
    if milestones := cfg.lr_multiplier.get("milestones"):
        moved = [f"{each * epochs / cfg.train.epochs:g}" for each in milestones]
        overrides.append(f"lr_multiplier.milestones=[{','.join(moved)}]")
    return overrides


def scheme_nodes(names: Sequence[str]) -> list[dict[str, Any]]:
    """The config nodes of schemes, with the values of their papers.

    Raises:
        UserError: an unknown name.
    """
    nodes = plain_config(LazyConfig.load(str(shipped_root() / SCHEMES)))
    if unknown := [name for name in names if name not in nodes]:
        raise UserError(f"there is no scheme {unknown[0]!r}; there are: {', '.join(nodes)}")
    return [nodes[name] for name in names]


def _typed(value: Any) -> str:
    """A node in the syntax of an override."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_typed(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_typed, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    is_word = isinstance(value, str) and not value.startswith("${")
    return quoted(value) if is_word else str(value)
