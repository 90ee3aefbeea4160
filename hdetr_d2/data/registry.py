"""Isolates registrations: Detectron2 has one list of names per process."""

from collections import UserDict
from collections.abc import Iterator
from contextlib import contextmanager

from detectron2.data import DatasetCatalog, MetadataCatalog


@contextmanager
def names_as_before(*, free: str | None = None) -> Iterator[None]:
    """Context at whose end all registrations are as they were before.

    Args:
        free: a name that may refer to other data within.
    """
    catalogs: tuple[UserDict, ...] = (DatasetCatalog, MetadataCatalog)
    before = [dict(catalog) for catalog in catalogs]
    for catalog in catalogs:
        catalog.pop(free, None)
    try:
        yield
    finally:
        for catalog, content in zip(catalogs, before, strict=True):
            catalog.clear()
            catalog.update(content)
