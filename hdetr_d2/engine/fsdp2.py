"""Sharded training: every process holds a shard of the model."""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, Replicate, distribute_tensor
from torch.optim import Optimizer

from hdetr_d2.engine.ddp import learns_buffers
from hdetr_d2.engine.parallel import Parallel

# The losses returned by the model are views of one tensor; nothing changes them in place.
HARMLESS = r"FSDP2-wrapped module .* returned a view tensor"


class Twin(NamedTuple):
    """A 0-d parameter, which `fully_shard` does not support, and the replicated DTensor in the same
    memory that the optimizer updates in its place.
    """

    parameter: nn.Parameter
    seen: nn.Parameter


class FSDP2(Parallel):
    """`torch.distributed.fsdp.fully_shard`: every process holds a shard of the rows of each weight,
    its gradient, optimizer state and moving average. A unit of the model gathers its full weights
    only while it computes.

    Modules that are not called through the `forward` of a unit, such as the heads, belong to the
    root unit, which is gathered during the model's own `forward`.
    """

    saves_together = True

    def __init__(self, *, device: torch.device, min_parameters: int = 100_000) -> None:
        """
        Args:
            device: of this process.
            min_parameters: blocks and layers with fewer parameters stay in the root unit, because
                every unit needs its own communication.
        """
        self.device = device
        self.min_parameters = min_parameters
        self._twins: list[Twin] = []

    @property
    def mesh(self) -> DeviceMesh:
        return _mesh(self.device.type, dist.get_world_size())

    def shard(self, model: nn.Module, optimizer: Optimizer | None = None) -> None:
        warnings.filterwarnings("ignore", message=HARMLESS)
        before = dict(model.named_parameters())
        for tensor in (*before.values(), *model.buffers()):  # as DistributedDataParallel does
            dist.broadcast(tensor.detach(), 0)
        options: dict[str, Any] = {
            "mesh": self.mesh,
            "reshard_after_forward": True,
            "ignored_params": {each for each in before.values() if not each.dim()},
        }
        for unit in units(model, self.min_parameters):
            fully_shard(unit, **options)
        fully_shard(model, **options)
        if optimizer is not None:
            after = dict(model.named_parameters())
            _follow(optimizer, {old: self._learned(after[name]) for name, old in before.items()})

    def _learned(self, parameter: nn.Parameter) -> nn.Parameter:
        """The tensor that the optimizer updates in place of the parameter."""
        if isinstance(parameter, DTensor):
            return parameter
        seen = DTensor.from_local(parameter.detach(), self.mesh, [Replicate()])
        self._twins.append(Twin(parameter, nn.Parameter(seen, parameter.requires_grad)))
        return self._twins[-1].seen

    def wrap(self, model: nn.Module) -> nn.Module:
        if learns_buffers(model):
            model.register_forward_pre_hook(_send_buffers)
        return model

    # `accumulating` is inherited: without reduction after each backward pass, gradients would not
    # be sharded.

    def finish_gradients(self) -> None:
        for parameter, seen in self._twins:
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                mean = parameter.grad / dist.get_world_size()
                seen.grad = DTensor.from_local(mean, self.mesh, [Replicate()])
                parameter.grad = None

    def clip(self, parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
        norm = super().clip(parameters, max_norm)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    @contextmanager
    def whole(self, model: nn.Module) -> Iterator[None]:
        parts = [each for each in model.modules() if isinstance(each, FSDPModule)]
        for part in parts:
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()
        try:
            yield
        finally:
            for part in parts:
                part.set_reshard_after_forward(True, recurse=False)
                part.reshard()


@cache
def _mesh(device_type: str, size: int) -> DeviceMesh:
    return init_device_mesh(device_type, (size,))


def units(model: nn.Module, min_parameters: int) -> list[nn.Module]:
    """The blocks of the backbone and the layers of encoder and decoder that have at least this many
    parameters and share none with other parts of the model.
    """
    found = [*_elements(getattr(model, "backbone", None))]
    for part in ("encoder", "decoder"):
        found += getattr(getattr(model, part, None), "layers", ())
    uses = _uses(model)
    return [
        unit
        for unit in dict.fromkeys(found)
        if sum(each.numel() for each in unit.parameters()) >= min_parameters
        and all(count == uses[name] for name, count in _uses(unit).items())
    ]


def _elements(module: nn.Module | None) -> Iterator[nn.Module]:
    """The elements of the outermost lists and sequences below a module; elements that are lists or
    dicts, which are never called, are searched in turn.
    """
    if module is None:
        return
    in_list = isinstance(module, nn.ModuleList | nn.Sequential)
    for child in module.children():
        if in_list and not isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield child
        else:
            yield from _elements(child)


def _uses(module: nn.Module) -> Counter[nn.Parameter]:
    """How often each parameter occurs in the module."""
    return Counter(each for _, each in module.named_parameters(remove_duplicate=False))


def _follow(optimizer: Optimizer, pairs: dict[Tensor, nn.Parameter]) -> None:
    """Makes the optimizer update the new parameter of each pair, with its shard of the old one's
    state.
    """
    for group in optimizer.param_groups:
        group["params"] = [pairs[each] for each in group["params"]]
    for old in [*optimizer.state]:
        state, new = optimizer.state.pop(old), pairs[old]
        assert isinstance(new, DTensor)
        optimizer.state[new] = {
            name: _part(value, new) if name != "step" and _is_like(value, old) else value
            for name, value in state.items()
        }


def _is_like(value: Any, parameter: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == parameter.shape


def _part(value: Tensor, like: DTensor) -> Tensor:
    return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)


def _send_buffers(model: nn.Module, given: Any) -> None:
    """Broadcasts the running statistics of the first process, as DistributedDataParallel does."""
    if model.training and torch.is_grad_enabled():
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)
