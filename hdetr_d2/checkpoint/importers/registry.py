"""Finds importers by name."""

from importlib import import_module
from importlib.util import find_spec

from hdetr_d2.checkpoint.importers.base import Importer
from hdetr_d2.checkpoint.importers.deformable_detr import DEFORMABLE_DETR, H_DEFORMABLE_DETR
from hdetr_d2.checkpoint.importers.detr import DETR
from hdetr_d2.checkpoint.importers.detrex import DETREX
from hdetr_d2.checkpoint.importers.dino import DINO
from hdetr_d2.checkpoint.importers.transformers import TRANSFORMERS
from hdetr_d2.errors import UserError

_ALL = (DEFORMABLE_DETR, H_DEFORMABLE_DETR, DETR, DINO, DETREX, TRANSFORMERS)
BUILT_IN = {importer.name: importer for importer in _ALL}


def find_importer(source: str) -> Importer:
    """The importer of a source. For projects, `my-system` is the object `importer` of
    `hdetr_d2.projects.my_system.importer`.

    Raises:
        UserError: it does not exist.
    """
    if source in BUILT_IN:
        return BUILT_IN[source]
    module = f"hdetr_d2.projects.{source.replace('-', '_')}.importer"
    if not source.replace("-", "_").isidentifier() or not _exists(module):
        raise UserError(
            f"unknown source {source!r}: it is one of {', '.join(BUILT_IN)}, "
            "or a project that has an importer.py"
        )
    return import_module(module).importer


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor does its project exist
        return False
