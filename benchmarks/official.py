"""A checkout of the code of H-DETR's authors (https://github.com/HDETR/H-Deformable-DETR), for
comparison.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

Peer = TypeVar("Peer")


class Anything(ModuleType):
    """A module from which any name can be imported, for imports that are not used."""

    def __getattr__(self, name: str) -> None:
        return None


def open_checkout(checkout: Path, unused: Iterable[str]) -> None:
    """Makes modules of the checkout importable; those with `unused` names become `Anything`."""
    for name in unused:
        sys.modules.setdefault(name, Anything(name))
    sys.path.insert(0, str(checkout.resolve()))


def add_official_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--official", type=Path, metavar="FOLDER", help="a checkout of H-Deformable-DETR: a peer"
    )


def load_peer(
    parser: argparse.ArgumentParser, folder: Path | None, load: Callable[[Path], Peer]
) -> Peer | None:
    """The result of `load` for the checkout, None without one; ends the run if it does not
    exist.
    """
    if folder is None:
        return None
    try:
        return load(folder)
    except ImportError as error:
        parser.error(f"--official {folder}: {error}.")
