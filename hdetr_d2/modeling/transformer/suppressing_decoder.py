"""The decoder of MDS-DETR (https://arxiv.org/abs/2605.23507): behind the layers that find objects,
several queries each, one that decides which of them keeps an object.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from hdetr_d2.layers import ConfidenceOrder, Layout, Linear, Span, attend_or_pass
from hdetr_d2.modeling.heads import PredictionHeads
from hdetr_d2.modeling.transformer.coder_layers import run_layer
from hdetr_d2.modeling.transformer.deformable_decoder import DeformableDecoder
from hdetr_d2.modeling.transformer.sizes import LayerSizes
from hdetr_d2.modeling.transformer.taps import Taps
from hdetr_d2.structures import DecoderOutput, Memory, Queries


class DuplicateSuppressor(nn.Module):
    """Self-attention without positions, and feed-forward: nothing is looked at in the image.

    Args:
        sizes: of the layer.
        num_tokens: learned keys T, which queries see that see nobody else.
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
        """`Tensor[B, Q, C]` to the same."""
        return self.feed_forward(attend_or_pass(self._among, x, torch.zeros_like(x), layout))

    def _among(self, x: Tensor, position: Tensor, layout: Layout) -> Tensor:
        return self.residual(x, self.self_norm, lambda x: self.self_attention(x, position, layout))


class SuppressingDecoder(DeformableDecoder):
    """A `DeformableDecoder`, and one layer more that scores its boxes anew and leaves them as they
    are. There main queries, and those that see them, see only surer ones (`ConfidenceOrder`).

    Args:
        sizes: of every layer.
        num_layers: those that look at the memory; one more predicts.
        heads: class and box heads of these.
        num_tokens: learned keys of the last layer.
        options: others of `DeformableDecoder`; it has no `attention_bias` but that order.
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
        self.class_heads[0].load_state_dict(first.state_dict())  # as all layers begin

    def decode(
        self, queries: Queries, groups: Sequence[Span], memory: Memory, taps: Taps
    ) -> DecoderOutput:
        found = super().decode(queries, groups, memory, taps)
        last, boxes = len(self.layers), found.boxes[-1].detach()
        if any(span.entry is not None and span.entry.layer >= last for span in groups):
            raise ValueError(f"No group can start in layer {last}, which only scores boxes anew.")
        layout = Layout(self._spans_here(groups), last, boxes, found.logits[-1], [boxes])
        inputs = (found.states, layout)
        x = run_layer(self.suppressor, *inputs, checkpointing=self.checkpointing)
        logits = self.heads.read(self.class_heads, 0, x)
        return DecoderOutput([*found.logits, logits], [*found.boxes, boxes], x)

    def _spans_here(self, groups: Sequence[Span]) -> list[Span]:
        """The groups, with nothing of their own, which is for layers that look at the memory; and
        with tokens where their bias speaks of them. Told by its class: a tracer puts another object
        in the place of a module whenever it is asked for.
        """
        tokens = self.suppressor.tokens
        return [
            span._replace(own={}, tokens=tokens if isinstance(span.bias, ConfidenceOrder) else None)
            for span in groups
        ]
