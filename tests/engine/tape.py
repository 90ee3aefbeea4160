"""A CUDA graph without a GPU: operators are recorded, and done again on the same tensors.

Like a graph's, the results of each go to where they were when it was recorded, and nothing the host
did in between happens again.
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

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in OF_THE_HOST:
            raise RuntimeError(f"{func} is not permitted when a stream is capturing")
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, _tensors(result)))
        return result

    @torch.no_grad()
    def play(self) -> None:
        for func, args, kwargs, results in self.calls:
            for old, new in zip(results, _tensors(func(*args, **kwargs)), strict=True):
                if old.untyped_storage()._cdata != new.untyped_storage()._cdata:
                    old.copy_(new)


def record_tape(function: Callable[[], Outcome]) -> tuple[Callable[[], None], Outcome]:
    """As `hdetr_d2.engine.graphs.Record` says: afterwards the random state is what it was."""
    state = torch.get_rng_state()
    with Tape() as tape:
        outcome = function()
    torch.set_rng_state(state)
    return tape.play, outcome


def _tensors(result: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
