"""The decoder of MDS-DETR (https://arxiv.org/abs/2605.23507): layers that find objects with several
queries each, followed by one layer that decides which query keeps an object.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from hdetr_d2.errors import MisfitError
from hdetr_d2.layers import ConfidenceOrder, Layout, Linear, Span, attend_or_pass
from hdetr_d2.modeling.heads import PredictionHeads
from hdetr_d2.modeling.transformer.coder_layers import run_layer
from hdetr_d2.modeling.transformer.deformable_decoder import DeformableDecoder
from hdetr_d2.modeling.transformer.sizes import LayerSizes
from hdetr_d2.modeling.transformer.taps import Taps
from hdetr_d2.structures import DecoderOutput, Memory, Queries


class DuplicateSuppressor(nn.Module):
    """Self-attention without positions, and a feed-forward network; there is no cross-attention.

    Args:
        sizes: of the layer.
        num_tokens: learned keys T, for queries that attend to no other query.
    """

    def __init__(self, sizes: LayerSizes, num_tokens: int) -> None:
        super().__init__()
        self.self_attention = sizes.self_attention()
        self.self_norm = sizes.norm()
        self.residual = sizes.residual()
        self.feed_forward = sizes.feed_forward()
        self.token_content = nn.Parameter(torch.zeros(num_tokens, sizes.dim))
        self.token_position = nn.Parameter(torch.zeros(num_tokens, sizes.dim))

    def tokens(self, layer: int) -> tuple[Tensor, Tensor]:
        """`KeyTokens` of the layer: content and position, `Tensor[T, C]` each."""
        return self.token_content, self.token_position

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """`Tensor[B, Q, C]` to `Tensor[B, Q, C]`."""
        return self.feed_forward(attend_or_pass(self._among, x, torch.zeros_like(x), layout))

    def _among(self, x: Tensor, position: Tensor, layout: Layout) -> Tensor:
        return self.residual(x, self.self_norm, lambda x: self.self_attention(x, position, layout))


class SuppressingDecoder(DeformableDecoder):
    """A `DeformableDecoder` plus one layer that scores its boxes again without moving them. In that
    layer, main queries, and groups that see them, attend only to more confident queries
    (`ConfidenceOrder`).

    Args:
        sizes: of every layer.
        num_layers: layers with cross-attention; the additional layer also predicts.
        heads: class and box heads of these layers.
        num_tokens: learned keys of the last layer.
        options: see `DeformableDecoder`; `attention_bias` is not available.
    """

    optional = (*DeformableDecoder.optional, "suppressor", "class_heads")
    attention_bias: ConfidenceOrder

    def __init__(
        self,
        *,
        sizes: LayerSizes,
        num_layers: int,
        heads: PredictionHeads,
        num_tokens: int = 10,
        **options: Any,
    ) -> None:
        order = ConfidenceOrder(layer=num_layers, num_heads=sizes.num_heads, num_tokens=num_tokens)
        super().__init__(
            sizes=sizes, num_layers=num_layers, heads=heads, attention_bias=order, **options
        )
        self.num_layers = num_layers + 1
        self.suppressor = DuplicateSuppressor(sizes, num_tokens)
        first = cast(Linear, heads.class_heads[0])
        self.class_heads = nn.ModuleList([Linear(sizes.dim, first.out_features)])
        self.class_heads[0].load_state_dict(first.state_dict())  # the common start of all layers

    def decode(
        self, queries: Queries, groups: Sequence[Span], memory: Memory, taps: Taps
    ) -> DecoderOutput:
        found = super().decode(queries, groups, memory, taps)
        last, boxes = len(self.layers), found.boxes[-1].detach()
        if any(span.entry is not None and span.entry.layer >= last for span in groups):
            raise MisfitError(f"No group can start in layer {last}, which only scores boxes anew.")
        layout = Layout(self._spans_here(groups), last, boxes, found.logits[-1], [boxes])
        inputs = (found.states, layout)
        x = run_layer(self.suppressor, *inputs, checkpointing=self.checkpointing)
        logits = self.heads.read(self.class_heads, 0, x)
        return DecoderOutput([*found.logits, logits], [*found.boxes, boxes], x)

    def _spans_here(self, groups: Sequence[Span]) -> list[Span]:
        """The groups without their own parts, which belong to layers with cross-attention, and with
        tokens where their bias covers them. Recognised by the bias's class: a tracer replaces a
        module by another object on every access.
        """
        tokens = self.suppressor.tokens
        return [
            span._replace(own={}, tokens=tokens if isinstance(span.bias, ConfidenceOrder) else None)
            for span in groups
        ]
