"""Counts the communication of processes in a step, call by call."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ROUNDS = {"allreduce": 2, "allgather": 1, "reducescatter": 1, "broadcast": 1}
"""How many times a tensor travels around a ring of processes, for each operation."""


class Exchanged(TorchDispatchMode):
    """Counts operations within this context.

    bytes: of whole tensors, by the names in `ROUNDS`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[str] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: Mapping | None = None
    ) -> Any:
        if any(issubclass(each, DTensor) for each in types):
            return NotImplemented  # operations on its parts are dispatched here separately
        result = function(*args, **(kwargs or {}))
        if "c10d" in function.namespace:
            name = function.__name__.replace("_", "")
            # The other side has a part of it, or the same amount
            whole = max(map(_bytes, (*args, result)))
            for kind in ROUNDS:
                if name.startswith(kind):
                    self.bytes[kind] += whole
        return result


def sent_in_ring(counted: Mapping[str, int], processes: int) -> float:
    """Bytes that each process sends to its neighbour, as with NCCL."""
    return (processes - 1) / processes * sum(ROUNDS[kind] * size for kind, size in counted.items())


def _bytes(nested: Any) -> int:
    leaves = (each for each in tree_leaves(nested) if isinstance(each, Tensor))
    return sum(each.numel() * each.element_size() for each in leaves)
