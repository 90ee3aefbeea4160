"""Derivatives of a compiled operator in all of PyTorch's autograd modes.

`torch.library.register_autograd` supports only reverse mode: it silently drops the tangents of
forward mode and fails within `torch.func`. The registration here uses the same dispatch key and
supports all of them. It relies on some PyTorch internals, which are confined to this file.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch._functorch.utils import enable_single_level_autograd_function
from torch.autograd import forward_ad
from torch.autograd.function import _SingleLevelFunction


@dataclass(frozen=True)
class Derivative:
    """The rules of one operator.

    save: (context, arguments, output), called in forward passes that reverse mode follows.
    backward: (context, gradients of the outputs) to a gradient or None per argument. tangent:
    (arguments, their tangents or None) to the output's tangent.
    """

    save: Callable[[Any, tuple, Any], None]
    backward: Callable[..., Any]
    tangent: Callable[[Sequence[Any], Sequence[Tensor | None]], Tensor]


def no_second_derivative(name: str) -> Derivative:
    """For the operator that computes the backward pass of `name`."""

    def refuse(*arguments: Any) -> NoReturn:
        raise RuntimeError(f"{name} has no second derivative: it can be differentiated once.")

    return Derivative(save=lambda *arguments: None, backward=refuse, tangent=refuse)


def register_derivative(name: str, rules: Derivative, library: torch.library.Library) -> None:
    """Also supports `torch.vmap`, for operators whose tensors all have the batch as their first
    axis.
    """
    op = getattr(torch.ops.hdetr_d2, name).default
    function = _function(op, rules)

    def differentiate(keys: Any, *arguments: Any) -> Any:
        if any(tangent is not None for tangent in _tangents(arguments)):
            return _dual(op, rules, arguments)
        if not torch.is_grad_enabled() or not any(map(_requires_grad, arguments)):
            return _below(op, keys, arguments)
        # As within PyTorch's own operators: one level of nested transforms at a time.
        with enable_single_level_autograd_function():
            return function.apply(keys, *arguments)

    library.impl(name, differentiate, "Autograd", with_keyset=True)
    torch.library.register_vmap(op, _over_batch(op), lib=library)


def is_transformed(tensor: Tensor) -> bool:
    """Whether a `torch.func` transform or `torch.vmap` wraps the tensor, so that its values are
    unknown.
    """
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def are_numbers_known(tensor: Tensor) -> bool:
    """Whether the values can be read cheaply: they are on the host, and no tracer would record the
    read. Values of fake tensors, and values during tracing, are unknown.
    """
    return (
        tensor.device.type == "cpu"
        and type(tensor) is Tensor
        and not torch.compiler.is_compiling()
        and torch._C._len_torch_dispatch_stack() == 0
        and not is_transformed(tensor)
    )


def refuse_vmap(name: str, tensors: Sequence[Tensor]) -> None:
    """For operators that `torch.vmap` cannot map.

    Raises:
        RuntimeError: one of the tensors is mapped.
    """
    if not torch.compiler.is_compiling() and any(map(_is_mapped, tensors)):
        raise RuntimeError(f"{name} does not run in torch.vmap: it takes a batch as it is.")


def _is_mapped(tensor: Tensor) -> bool:
    while is_transformed(tensor):
        if torch._C._functorch.is_batchedtensor(tensor):
            return True
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return False


def _function(op: Any, rules: Derivative) -> Any:
    class Reverse(_SingleLevelFunction):
        @staticmethod
        def forward(ctx: Any, keys: Any, *arguments: Any) -> Any:
            with _for_the_next_transform():
                output = _below(op, keys, arguments)
            rules.save(ctx, arguments, output)
            return output

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Any:
            found = rules.backward(ctx, *gradients)
            return None, *(found if isinstance(found, tuple) else (found,))

    return Reverse


@contextmanager
def _for_the_next_transform() -> Iterator[None]:
    """A forward runs with gradients disabled, but an outer transform may need them."""
    if not torch._C._are_functorch_transforms_active():
        yield
        return
    with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True):
        yield


def _below(op: Any, keys: Any, arguments: Sequence[Any]) -> Any:
    """Calls what follows autograd in the dispatcher: the kernels, or the next transform."""
    with torch._C._AutoDispatchBelowAutograd():
        return op.redispatch(keys & torch._C._after_autograd_keyset, *arguments)


def _dual(op: Any, rules: Derivative, arguments: Sequence[Any]) -> Tensor:
    """Forward mode. Tangents do not reach what reverse mode would save, so both at one level are
    refused; torch.func.grad of torch.func.jvp works, as these are two levels.
    """
    if torch.is_grad_enabled() and any(map(_requires_grad, arguments)):
        no_second_derivative(op._opname).backward()
    primals = [forward_ad.unpack_dual(a).primal if _is_tensor(a) else a for a in arguments]
    return forward_ad.make_dual(op(*primals), rules.tangent(primals, _tangents(arguments)))


def _tangents(arguments: Sequence[Any]) -> list[Tensor | None]:
    """The tangent of each argument; empty outside of forward mode."""
    if forward_ad._current_level < 0:
        return []
    return [forward_ad.unpack_dual(a).tangent if _is_tensor(a) else None for a in arguments]


def _is_tensor(argument: Any) -> bool:
    return isinstance(argument, Tensor)


def _requires_grad(argument: Any) -> bool:
    return _is_tensor(argument) and argument.requires_grad


def _over_batch(op: Any) -> Callable[..., Any]:
    """Merges the mapped axis into the batch, and separates it again in the results."""

    def compute(info: Any, axes: Sequence[int | None], *arguments: Any) -> Any:
        times = info.batch_size
        pairs = list(zip(arguments, axes, strict=True))
        if not times:
            return _of_nothing(op, pairs)
        outputs = op(*(_fold(a, axis, times) if _is_tensor(a) else a for a, axis in pairs))
        if isinstance(outputs, Tensor):
            return _unfold(outputs, times), 0
        return tuple(_unfold(each, times) for each in outputs), (0,) * len(outputs)

    return compute


def _fold(tensor: Tensor, axis: int | None, times: int) -> Tensor:
    each = tensor.expand(times, *tensor.shape) if axis is None else tensor.movedim(axis, 0)
    return each.flatten(0, 1)


def _of_nothing(op: Any, pairs: Sequence[tuple[Any, int | None]]) -> Any:
    """The results for a mapped axis of length 0: empty, in the shapes of the fake kernels."""
    outputs = op(*(_shape_of_one(a, axis) if _is_tensor(a) else a for a, axis in pairs))
    like = next(a for a, _ in pairs if _is_tensor(a))
    each = [outputs] if isinstance(outputs, Tensor) else outputs
    empty = tuple(like.new_empty((0, *one.shape), dtype=one.dtype) for one in each)
    return (empty[0], 0) if isinstance(outputs, Tensor) else (empty, (0,) * len(empty))


def _shape_of_one(tensor: Tensor, axis: int | None) -> Tensor:
    shape = [size for place, size in enumerate(tensor.shape) if place != axis]
    return torch.empty(shape, dtype=tensor.dtype, device="meta")


def _unfold(tensor: Tensor, times: int) -> Tensor:
    return tensor.unflatten(0, (times, tensor.shape[0] // times))
