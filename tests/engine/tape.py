"""CUDA graphs without a GPU: operators are recorded, and done again on the same tensors.

Like a graph's, the results of each go to where they were when it was recorded, and nothing the host
did in between happens again. Like graphs that share memory, none leaves anything to another.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hdetr_d2.engine.gradients import Outcome

# What brings numbers of the host along. (That none are taken there is shown by
# tests/modeling/test_no_host_sync.py; on a CPU some checks look at them.)
OF_THE_HOST = {"lift_fresh", "pin_memory"}


class Tape(TorchDispatchMode):
    """Records what is called while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self._given: set[int] = set()
        self._own: dict[int, Tensor] = {}  # by memory that it has taken itself

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in OF_THE_HOST:
            raise RuntimeError(f"{func} is not permitted when a stream is capturing")
        result = func(*args, **(kwargs or {}))
        results = _tensors(result)
        self.calls.append((func, args, kwargs or {}, results))
        self._given |= {_memory_of(each) for each in _tensors((args, kwargs))} - self._own.keys()
        new = {_memory_of(each): each for each in results}
        self._own |= {memory: new[memory] for memory in new.keys() - self._given}
        return result

    @torch.no_grad()
    def play(self) -> None:
        for func, args, kwargs, results in self.calls:
            for old, new in zip(results, _tensors(func(*args, **kwargs)), strict=True):
                if _memory_of(old) != _memory_of(new):
                    old.copy_(new)

    @torch.no_grad()
    def overwrite(self) -> None:
        """Another one has run in the same memory."""
        for tensor in self._own.values():
            tensor.fill_(torch.nan if tensor.is_floating_point() else 0)


class Tapes:
    """As `hdetr_d2.engine.graphs.Record` says: afterwards the random state is what it was."""

    def __init__(self) -> None:
        self.tapes: list[Tape] = []

    def __call__(self, function: Callable[[], Outcome]) -> tuple[Callable[[], None], Outcome]:
        state = torch.get_rng_state()
        with Tape() as tape:
            outcome = function()
        torch.set_rng_state(state)
        self.tapes.append(tape)

        def play() -> None:
            for other in self.tapes:
                if other is not tape:
                    other.overwrite()
            tape.play()

        return play, outcome


def _memory_of(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _tensors(result: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
