"""Which tokens the queries of a decoder attend to."""

from collections.abc import Sequence
from functools import partial, singledispatch
from typing import Any

import torch
from torch import Tensor, nn

from hdetr_d2.layers import DeformableAttention, DenseAttention
from hdetr_d2.modeling.transformer import Decoder
from hdetr_d2.modeling.transformer.coder_layers import DecoderLayer
from hdetr_d2.ops import ms_deform_attn


@singledispatch
def attended(attention: nn.Module, part: Tensor, *inputs: Any) -> Tensor:
    """How much the queries attend to each token, summed over heads: `Tensor[B, S]`, 0 in the
    padding.

    Args:
        attention: the cross-attention.
        part: `Tensor[B, Q]`, the weight of each query.
        inputs: the inputs of `attention`.

    Raises:
        TypeError: an attention type that the decoders here do not use.
    """
    raise TypeError(f"it is not known where {type(attention).__name__} looks")


@attended.register
def _of_deformable(
    attention: DeformableAttention,
    part: Tensor,
    query: Tensor,
    reference: Tensor,
    tokens: Tensor,
    shapes: Sequence[tuple[int, int]],
    padding: Tensor,
) -> Tensor:
    locations, weights = attention.samples(query, reference, shapes)
    weights = weights * part[..., None, None, None]
    # The output is linear in the values: its derivative with respect to the value of a cell is the
    # total weight of all samples there, including bilinear interpolation.
    with torch.enable_grad():
        value = weights.new_zeros(*tokens.shape[:2], attention.num_heads, 1, requires_grad=True)
        seen = ms_deform_attn(value, shapes, locations, weights)
        (weight,) = torch.autograd.grad(seen.sum(), value)
    return weight.sum((2, 3)).masked_fill(padding, 0.0)


@attended.register
def _of_dense(
    attention: DenseAttention,
    part: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    padding: Tensor,
) -> Tensor:
    return torch.einsum("bhqs,bq->bs", attention.weights(query, key, padding), part)


class CrossAttention:
    """While active (`with watching:`), records the inputs of the cross-attention in every layer of
    a decoder.
    """

    def __init__(self, decoder: Decoder) -> None:
        layers = [part for part in decoder.modules() if isinstance(part, DecoderLayer)]
        self._attentions = [layer.cross_attention for layer in layers]
        self._inputs: dict[int, tuple] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> "CrossAttention":
        for layer, attention in enumerate(self._attentions):
            hook = partial(self._remember, layer)
            self._handles.append(attention.register_forward_pre_hook(hook))
        return self

    def __exit__(self, *exc_info: object) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _remember(self, layer: int, attention: nn.Module, inputs: tuple) -> None:
        self._inputs[layer] = inputs

    def attended(self, part: Tensor) -> Tensor:
        """Attention to each token, `Tensor[B, S]`, summed over layers and heads; `part` is
        `Tensor[L, B, Q]`, the weight of each query in each layer.
        """
        layers = zip(self._attentions, part, strict=True)
        return torch.stack(
            [
                attended(attention, counts, *self._inputs[layer])
                for layer, (attention, counts) in enumerate(layers)
            ]
        ).sum(0)
