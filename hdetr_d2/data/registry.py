"""A fence around what is registered: Detectron2 has one list of names for a whole process."""

from collections import UserDict
from collections.abc import Iterator
from contextlib import contextmanager

from detectron2.data import DatasetCatalog, MetadataCatalog


@contextmanager
def names_as_before(*, free: str | None = None) -> Iterator[None]:
    """What is registered within is forgotten at the end, and all is as it was.

    Args:
        free: a name that may stand for other data within.
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
