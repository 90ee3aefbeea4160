"""Small data set wrappers."""

import copy
import pickle
import random
from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle
import numpy as np
from detectron2._subset import absent
from torch.utils.data import Dataset

__all__ = ["DatasetFromList", "MapDataset"]
__getattr__ = absent(__name__)


class _Serialized:
    """A list whose elements are pickled into one array.

    Forked workers then share its memory: millions of small Python objects would be copied page by
    page as soon as their reference counts change.
    """

    def __init__(self, elements: Sequence[Any]) -> None:
        pickled = [np.frombuffer(pickle.dumps(e, protocol=-1), dtype=np.uint8) for e in elements]
        self._ends = np.cumsum([len(p) for p in pickled], dtype=np.int64)
        self._bytes = np.concatenate([np.empty(0, dtype=np.uint8), *pickled])

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> Any:
        end = self._ends[index]  # raises IndexError past the end
        start = self._ends[index - 1] if index else 0
        return pickle.loads(self._bytes[start:end].data)


class DatasetFromList(Dataset):
    """A list as a torch data set."""

    def __init__(self, lst: list[Any], copy: bool = True, serialize: bool = True) -> None:
        """
        Args:
            lst: the elements.
            copy: return deep copies, so that callers may change them. Serialized elements are
                always copies.
            serialize: keep the elements pickled in one array (see `_Serialized`).
        """
        self._elements = _Serialized(lst) if serialize else lst
        self._copy = copy and not serialize

    def __len__(self) -> int:
        return len(self._elements)

    def __getitem__(self, index: int) -> Any:
        element = self._elements[index]
        return copy.deepcopy(element) if self._copy else element


class MapDataset(Dataset):
    """A data set seen through a function, such as a mapper; lambdas can be sent to workers."""

    def __init__(self, dataset: Any, map_func: Callable[[Any], Any]) -> None:
        """
        Args:
            dataset: anything with `__len__` and `__getitem__`.
            map_func: may return None to reject an element, which is replaced by a random other one.
        """
        self._dataset = dataset
        self._map = map_func
        self._refused: set[int] = set()
        self._random = random.Random(42)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Any:
        index = int(index)
        while (mapped := self._map(self._dataset[index])) is None:
            self._refused.add(index)
            candidates = [i for i in range(len(self)) if i not in self._refused]
            if not candidates:
                raise ValueError("The mapper returned None for every element of the dataset.")
            index = self._random.choice(candidates)
        return mapped

    def __getstate__(self) -> dict[str, Any]:
        # Spawned workers receive a pickle, and pickle alone cannot handle lambdas and closures.
        return {**self.__dict__, "_map": cloudpickle.dumps(self._map)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _map=cloudpickle.loads(state["_map"]))
