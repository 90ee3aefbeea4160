"""A checkout of the code of H-DETR's authors (https://github.com/HDETR/H-Deformable-DETR), beside
which we are timed.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

Peer = TypeVar("Peer")


class Anything(ModuleType):
    """A module of which any name can be imported, and nothing used."""

    def __getattr__(self, name: str) -> None:
        return None


def open_checkout(checkout: Path, unused: Iterable[str]) -> None:
    """Lets modules of the checkout be imported, those of `unused` names as `Anything`."""
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
    """What `load` makes of the checkout, None without one; ends the run where it is not there."""
    if folder is None:
        return None
    try:
        return load(folder)
    except ImportError as error:
        parser.error(f"--official {folder}: {error}.")
