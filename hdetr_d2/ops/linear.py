"""A linear layer at the full speed of a CPU, and with its ReLU in one kernel on CUDA.

PyTorch leaves float32 products on a CPU to MKL, which takes half of the width of AVX-512 where the
processor is not Intel's. oneDNN, which PyTorch brings for convolutions, takes all of it on every
processor, and adds bias and ReLU on the way. On CUDA cuBLASLt does. The operators over them are
some that PyTorch keeps for itself: this file alone knows them.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from hdetr_d2.ops.arguments import check_tensors
from hdetr_d2.ops.derivative import is_transformed

_OPTIONS: Any = torch.backends.mkldnn
_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(
    torch.ops.mkldnn, "_linear_pointwise"
)
_HAS_BFLOAT16 = _HAS_ONEDNN and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
_PRECISIONS = frozenset((torch.float32, torch.bfloat16))
_OF_CUBLASLT = frozenset((torch.float32, torch.float16, torch.bfloat16))
# Whether MKL takes all of AVX-512, so that a product of it is as fast as one of oneDNN.
_CAPABILITIES: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
_MKL_IS_WIDE = "Intel" in _CAPABILITIES.get("cpu_name", "")
_LEAST_PRODUCTS = 2**22  # with fewer the call itself is most of the time
_FAR_FROM_INFINITY = 1e38
_PLAIN = (Tensor, torch.nn.Parameter)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, relu: bool = False) -> Tensor:
    """`torch.nn.functional.linear`, and a ReLU after it where that is asked for.

    Large products on a CPU in float32, and in bfloat16 also by autocast, are oneDNN's, in training
    and inference, up to twice as fast; with a ReLU on CUDA, cuBLASLt's. Everything else, and what
    `torch.compile` or an exporter records, is PyTorch's own linear.

    Args:
        x: `Tensor[..., C]`.
        weight: `Tensor[D, C]`.
        bias: `Tensor[D]`.

    Returns:
        `Tensor[..., D]`; that of a `Tensor[N, C]` is no view, so that autograd follows a change in
        place without copies of the whole.

    Raises:
        RuntimeError: shapes that do not fit.
        TypeError: what is no tensor.
    """
    check_tensors(x=x, weight=weight)
    if bias is not None:
        check_tensors(bias=bias)
    product: Callable[..., Tensor]
    if _by_onednn(x, weight, bias) and not (relu and _may_be_nan(x, weight, bias)):
        product = _onednn
    elif relu and _by_cublaslt(x, weight, bias):
        product = _cublaslt
    else:
        out = F.linear(x, weight, bias)
        return F.relu(out) if relu else out
    device = x.device.type
    if torch.is_autocast_enabled(device):
        # In bfloat16 on a CPU PyTorch would write the bias into all rows first, and then add the
        # product.
        dtype = torch.get_autocast_dtype(device)
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    rows = _Product.apply(x.flatten(0, -2), weight, bias, relu, product)
    return rows if x.dim() == 2 else rows.unflatten(0, x.shape[:-1])


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the layer is one that oneDNN computes, sooner than MKL would."""
    return (
        _HAS_ONEDNN
        and not _is_watched()  # first: a tracer would record the other questions
        and x.device.type == weight.device.type == "cpu"
        and _is_taken(x.dtype, weight.dtype)
        and x.dim() > 1
        and x.numel() * len(weight) >= _LEAST_PRODUCTS
        and _fits(x, weight, bias)
        and bool(torch.backends.mkldnn.enabled)
        and _OPTIONS.matmul.fp32_precision != "bf16"  # PyTorch has its own way of it
        and _are_plain(x, weight, bias)
    )


def _by_cublaslt(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the layer is one that cuBLASLt computes with its ReLU."""
    dtypes = {each.dtype for each in (x, weight, bias) if each is not None}
    return (
        not _is_watched()
        and x.device.type == weight.device.type == "cuda"
        and bias is not None
        and dtypes <= _OF_CUBLASLT
        and (len(dtypes) == 1 or torch.is_autocast_enabled("cuda"))
        and x.dim() > 1
        and x.numel() > 0
        and _fits(x, weight, bias)
        and _are_plain(x, weight, bias)
    )


def _is_taken(dtype: torch.dtype, of_weight: torch.dtype) -> bool:
    """Whether products of these, as autocast would have them, are oneDNN's."""
    if torch.is_autocast_enabled("cpu"):
        to_bfloat16 = torch.get_autocast_dtype("cpu") == torch.bfloat16
        return _HAS_BFLOAT16 and to_bfloat16 and {dtype, of_weight} <= _PRECISIONS
    return dtype == of_weight and (dtype == torch.float32 or _HAS_BFLOAT16 and dtype in _PRECISIONS)


def _are_plain(*tensors: Tensor | None) -> bool:
    """Neither of a subclass nor of `torch.func`, whose ways PyTorch's own linear knows."""
    return all(
        each is None or (type(each) in _PLAIN and not is_transformed(each)) for each in tensors
    )


@torch.no_grad()
def _may_be_nan(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """oneDNN's ReLU makes 0 of NaN, PyTorch's keeps it. No sum of products is larger than the norms
    of its factors multiplied (Cauchy-Schwarz), so where that is far from infinity none is NaN.
    """
    of_x, of_weight = (float(torch.linalg.vector_norm(each)) for each in (x, weight))
    of_bias = 0.0 if bias is None else float(torch.linalg.vector_norm(bias))
    return not of_x * of_weight + of_bias < _FAR_FROM_INFINITY


def _fits(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Else PyTorch says what does not."""
    return (
        weight.dim() == 2
        and x.shape[-1] == weight.shape[1]
        and (bias is None or (bias.dtype == weight.dtype and bias.shape == weight.shape[:1]))
    )


def _is_watched() -> bool:
    """By who records or counts operators, and knows those of PyTorch, or who wants tangents."""
    return bool(
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._len_torch_dispatch_stack() > 0
        or forward_ad._current_level >= 0
    )


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
    after = "relu" if relu else "none"
    if bias is not None:
        bias = bias.contiguous()  # oneDNN does not look at its strides
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, after, [], "")


def _cublaslt(x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
    """With a ReLU in any case."""
    return torch._addmm_activation(bias, x, weight.T)


class _Product(torch.autograd.Function):
    """Of rows, `Tensor[N, C]`: what it returns may be changed in place, as views of it may."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        relu: bool,
        product: Callable[..., Tensor],
    ) -> Tensor:
        out = product(x, weight, bias, relu)
        ctx.save_for_backward(x, weight, *([out] if relu else []))
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, *positive = ctx.saved_tensors
        if positive:
            gradient = torch.ops.aten.threshold_backward(gradient, positive[0], 0)
        of_x, of_weight, of_bias, *_ = ctx.needs_input_grad
        return (
            linear(gradient, weight.T) if of_x else None,
            _of_weight(x, gradient) if of_weight else None,
            gradient.sum(0) if of_bias else None,
            None,
            None,
        )


def _of_weight(x: Tensor, gradient: Tensor) -> Tensor:
    """`Tensor[D, C]`. oneDNN has the first factor of a product copied to lie in rows, here half as
    long as the product itself: let it be the smaller one; MKL and cuBLAS take it as it lies.
    """
    if _MKL_IS_WIDE or x.device.type != "cpu":
        return gradient.T @ x
    if x.shape[1] < gradient.shape[1]:
        return linear(x.T, gradient.T).T
    return linear(gradient.T, x.T)
