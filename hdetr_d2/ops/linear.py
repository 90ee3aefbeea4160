"""A linear layer at full speed on a CPU, and with its ReLU in one kernel on CUDA.

For float32 products on a CPU, PyTorch uses MKL, which uses half the width of AVX-512 on processors
not made by Intel. oneDNN, which PyTorch includes for convolutions, uses the full width on every
processor, and fuses bias and ReLU. On CUDA, cuBLASLt fuses them. The PyTorch operators behind both
are private; they are confined to this file.
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
# Whether MKL uses the full width of AVX-512, so that its products are as fast as oneDNN's.
_CAPABILITIES: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
_MKL_IS_WIDE = "Intel" in _CAPABILITIES.get("cpu_name", "")
_LEAST_PRODUCTS = 2**22  # below this, call overhead dominates
_FAR_FROM_INFINITY = 1e38
_PLAIN = (Tensor, torch.nn.Parameter)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, relu: bool = False) -> Tensor:
    """`torch.nn.functional.linear`, optionally followed by a ReLU.

    Large products on a CPU in float32, or in bfloat16 (also by autocast), are computed by oneDNN,
    in training and inference, up to twice as fast; products with a ReLU on CUDA are computed by
    cuBLASLt. Everything else, and everything that `torch.compile` or an exporter records, is
    PyTorch's own linear.

    Args:
        x: `Tensor[..., C]`.
        weight: `Tensor[D, C]`.
        bias: `Tensor[D]`.

    Returns:
        `Tensor[..., D]`. The output for a `Tensor[N, C]` is not a view, so that autograd handles
        in-place changes without copying the whole.

    Raises:
        RuntimeError: shapes do not fit.
        TypeError: an argument is not a tensor.
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
        # In bfloat16 on a CPU, PyTorch would first write the bias into all rows and then add the
        # product.
        dtype = torch.get_autocast_dtype(device)
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    rows = _Product.apply(x.flatten(0, -2), weight, bias, relu, product)
    return rows if x.dim() == 2 else rows.unflatten(0, x.shape[:-1])


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether oneDNN can compute the layer, and is faster than MKL."""
    return (
        _HAS_ONEDNN
        and not _is_watched()  # first: a tracer would record the other conditions
        and x.device.type == weight.device.type == "cpu"
        and _is_taken(x.dtype, weight.dtype)
        and x.dim() > 1
        and x.numel() * len(weight) >= _LEAST_PRODUCTS
        and _fits(x, weight, bias)
        and bool(torch.backends.mkldnn.enabled)
        and _OPTIONS.matmul.fp32_precision != "bf16"  # PyTorch handles this itself
        and _are_plain(x, weight, bias)
    )


def _by_cublaslt(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether cuBLASLt can compute the layer with its ReLU."""
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
    """Whether oneDNN can multiply these dtypes, as autocast would cast them."""
    if torch.is_autocast_enabled("cpu"):
        to_bfloat16 = torch.get_autocast_dtype("cpu") == torch.bfloat16
        return _HAS_BFLOAT16 and to_bfloat16 and {dtype, of_weight} <= _PRECISIONS
    return dtype == of_weight and (dtype == torch.float32 or _HAS_BFLOAT16 and dtype in _PRECISIONS)


def _are_plain(*tensors: Tensor | None) -> bool:
    """Neither a tensor subclass nor wrapped by `torch.func`; PyTorch's own linear handles those."""
    return all(
        each is None or (type(each) in _PLAIN and not is_transformed(each)) for each in tensors
    )


@torch.no_grad()
def _may_be_nan(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """oneDNN's ReLU turns NaN into 0, PyTorch's keeps it. By Cauchy-Schwarz no sum of products
    exceeds the product of the factors' norms, so if that is far from infinity, no result is NaN.
    """
    of_x, of_weight = (float(torch.linalg.vector_norm(each)) for each in (x, weight))
    of_bias = 0.0 if bias is None else float(torch.linalg.vector_norm(bias))
    return not of_x * of_weight + of_bias < _FAR_FROM_INFINITY


def _fits(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Otherwise PyTorch raises its own error."""
    return (
        weight.dim() == 2
        and x.shape[-1] == weight.shape[1]
        and (bias is None or (bias.dtype == weight.dtype and bias.shape == weight.shape[:1]))
    )


def _is_watched() -> bool:
    """Whether something records or counts PyTorch's operators, or needs tangents."""
    return bool(
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._len_torch_dispatch_stack() > 0
        or forward_ad._current_level >= 0
    )


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
    after = "relu" if relu else "none"
    if bias is not None:
        bias = bias.contiguous()  # oneDNN ignores its strides
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, after, [], "")


def _cublaslt(x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
    """Always with a ReLU."""
    return torch._addmm_activation(bias, x, weight.T)


class _Product(torch.autograd.Function):
    """On rows, `Tensor[N, C]`: the output may be changed in place, and so may views of it."""

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
    """`Tensor[D, C]`. oneDNN copies the first factor into row-major order, which takes half as long
    as the product itself, so the smaller factor goes first. MKL and cuBLAS need no copy.
    """
    if _MKL_IS_WIDE or x.device.type != "cpu":
        return gradient.T @ x
    if x.shape[1] < gradient.shape[1]:
        return linear(x.T, gradient.T).T
    return linear(gradient.T, x.T)
