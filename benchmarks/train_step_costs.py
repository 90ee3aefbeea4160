"""The costs of a training step other than time."""

import json
import resource
import timeit
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from timing import peak_bytes
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from train_step_sides import Step

MB = 2**20


@dataclass(frozen=True)
class Costs:
    """peak_mb: on CUDA the peak allocation of a step, on the CPU the peak resident size of this
    process, including model and optimizer. kept_mb: what the forward keeps for the backward,
    without weights. forward, backward: number of dispatched operators that compute something, each
    at least one launch on a GPU. traffic_mb: of the tensors that they read and write, forward and
    backward; copies inside an operator are not seen. billions: of floating-point operations in
    products and convolutions, forward and backward.
    """

    peak_mb: float
    kept_mb: float
    forward: int
    backward: int
    traffic_mb: float
    billions: float

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Costs":
        return cls(**json.loads(text))


def measure_costs(step: Step, device: str) -> Costs:
    """For a process that has run nothing else."""
    kept = _kept_bytes(step)
    step()
    peak = peak_bytes(step) / MB if device == "cuda" else _largest_resident_mb()
    step.optimizer.zero_grad(set_to_none=True)
    with _Count() as operators:
        total = step.total()
        forward = operators.number
        total.backward()
    backward = operators.number - forward
    traffic = operators.bytes / MB
    return Costs(peak, kept / MB, forward, backward, traffic, _products(step) / 1e9)


def product_speed() -> float:
    """Billions of floating-point operations per second of one large float32 product, an upper bound
    for those of a step.
    """
    from hdetr_d2.ops import linear  # missing in some commits that costs are measured for

    rows, columns, channels = 4096, 2048, 256
    x, weight = torch.randn(rows, channels), torch.randn(columns, channels)
    seconds = min(timeit.repeat(lambda: linear(x, weight), number=10, repeat=10)) / 10
    return 2 * rows * columns * channels / seconds / 1e9


def _products(step: Step) -> float:
    step.optimizer.zero_grad(set_to_none=True)
    with FlopCounterMode(display=False) as counter:
        step.total().backward()
    return counter.get_total_flops()


def _kept_bytes(step: Step) -> int:
    weights = {each.untyped_storage().data_ptr() for each in step.model.state_dict().values()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        total = step.total()
    bytes_of_all = sum(size for place, size in kept.items() if place not in weights)
    del total  # until here nothing that is kept was freed
    return bytes_of_all


class _Count(TorchDispatchMode):
    """number: of operators that reached a device, or would have. bytes: of their inputs and
    outputs.
    """

    number = bytes = 0

    def __torch_dispatch__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        if not _is_view(function):
            self.number += 1
            leaves = tree_leaves((args, kwargs, found))
            self.bytes += sum(each.nbytes for each in leaves if isinstance(each, Tensor))
        return found


def _is_view(function: Any) -> bool:
    """Whether the operator only creates a view."""
    returns = [each.alias_info for each in function._schema.returns]
    return function is torch.ops.aten._unsafe_view.default or any(
        alias is not None and not alias.is_write for alias in returns
    )


def _largest_resident_mb() -> float:
    """For this process. On Linux `ru_maxrss` includes the parent's memory."""
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (row for row in status.read_text().splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MB  # bytes on macOS
