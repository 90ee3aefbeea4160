"""Adapts mappers without a `position` to the stream, which is a function of the position."""

import inspect
from collections.abc import Callable
from typing import Any

from hdetr_d2.utils.random_state import seeded, stream_seed

Mapper = Callable[..., dict[str, Any]]


class PlainMapper:
    """Calls a mapper with only the entry; its random numbers depend on (seed, position)."""

    def __init__(self, mapper: Mapper, seed: int) -> None:
        self.mapper = mapper
        self.seed = seed

    def __call__(self, dataset_dict: dict, position: int) -> dict[str, Any]:
        with seeded(stream_seed(self.seed, position)):
            return self.mapper(dataset_dict)


def placed(mapper: Mapper, seed: int) -> Mapper:
    """The mapper itself if it takes a `position`, like `DetrMapper`; otherwise (Detectron2's
    mappers, plain functions) an adapter that does.
    """
    takes_it = "position" in inspect.signature(mapper).parameters
    return mapper if takes_it else PlainMapper(mapper, seed)
