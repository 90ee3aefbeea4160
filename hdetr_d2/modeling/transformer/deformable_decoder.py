"""The decoder of Deformable-DETR (https://arxiv.org/abs/2010.04159), over all query groups in one
pass.
"""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from hdetr_d2.layers import AttentionBias, Layout, ReferencePosition, Span
from hdetr_d2.modeling.heads import PredictionHeads
from hdetr_d2.modeling.transformer.base import Decoder
from hdetr_d2.modeling.transformer.coder_layers import DecoderLayer
from hdetr_d2.modeling.transformer.course import Course
from hdetr_d2.modeling.transformer.layer_order import LayerOrder, SelfFirst
from hdetr_d2.modeling.transformer.sizes import LayerSizes
from hdetr_d2.modeling.transformer.taps import Taps
from hdetr_d2.ops import move_boxes
from hdetr_d2.structures import DecoderOutput, Memory, Queries, Tap


class DeformableDecoderLayer(DecoderLayer):
    """Self-attention within each group, deformable cross-attention, feed-forward network."""

    def __init__(self, sizes: LayerSizes, order: LayerOrder) -> None:
        super().__init__(sizes, order, sizes.deformable_attention())

    def attend(self, query: Tensor, memory: Memory, reference: Tensor) -> Tensor:
        return self.cross_attention(query, reference, memory.tokens, memory.shapes, memory.padding)


class DeformableDecoder(Decoder):
    """Maps query groups and memory to the predictions of every layer.

    Args:
        sizes: of every layer.
        num_layers: decoder layers.
        heads: class and box heads.
        refine: iterative box refinement: a layer attends around the (detached) boxes of the
            previous layer.
        look_forward_twice: the boxes of a layer also pass gradients to the previous layer (DINO,
            https://arxiv.org/abs/2203.03605).
        position: computes the positional queries in every layer, from the references on the finest
            level (DINO); None if queries have positions.
        position_scale: maps a query's content to a factor on its position, from the second layer on
            (DAB-DETR, https://arxiv.org/abs/2201.12329); None is 1.
        norm: of the states before the heads (DINO); None for none.
        attention_bias: of the main group's self-attention; see `Decoder`.
        order: which attention comes first in a layer; None for self-attention.
        eps: lower bound of the odds of a reference that a layer refines.
        checkpointing: recompute a layer's activations in the backward pass instead of storing them.

    Raises:
        ValueError: look forward twice without refinement.
    """

    optional: ClassVar[Sequence[str]] = ("attention_bias", "position_scale")

    def __init__(
        self,
        *,
        sizes: LayerSizes,
        num_layers: int,
        heads: PredictionHeads,
        refine: bool = True,
        look_forward_twice: bool = False,
        position: ReferencePosition | None = None,
        position_scale: nn.Module | None = None,
        norm: nn.Module | None = None,
        attention_bias: AttentionBias | None = None,
        order: LayerOrder | None = None,
        eps: float = 1e-5,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if look_forward_twice and not refine:
            raise ValueError(
                "decoder.look_forward_twice needs decoder.refine: "
                "without refinement no layer has boxes of its own."
            )
        self.num_layers = num_layers
        self.heads = heads
        self.refine = refine
        self.look_forward_twice = look_forward_twice
        self.position = position
        self.position_scale = position_scale
        self.norm = norm
        self.attention_bias = attention_bias
        self.eps = eps
        self.checkpointing = checkpointing
        order = order or SelfFirst()
        self.layers = nn.ModuleList(DeformableDecoderLayer(sizes, order) for _ in range(num_layers))

    def decode(
        self, queries: Queries, groups: Sequence[Span], memory: Memory, taps: Taps
    ) -> DecoderOutput:
        course = Course(groups)
        x, reference = course.present(queries.content), course.present(queries.reference)
        assert reference is not None  # all queries of this family have references
        origin = reference  # what a box head adds to: the reference, or its non-detached form
        said: Tensor | None = None
        last: list[Tensor | None] = [None, reference if reference.shape[-1] == 4 else None]
        logits: list[Tensor] = []  # list[Tensor]() could not be compiled
        boxes: list[Tensor] = []
        ratios = memory.valid_ratios[:, None]  # [B, 1, L, 2]
        of_boxes = torch.cat([ratios, ratios], -1)
        for index, layer in enumerate(self.layers):
            row = (x, reference, origin, said, *last)
            x, reference, origin, said, *last = course.enter(index, *row)
            # References relative to the padded levels: [B, Q, L, 2 or 4].
            scale = ratios if reference.shape[-1] == 2 else of_boxes
            on_levels = reference[:, :, None] * scale
            position = course.present(queries.position)
            if self.position is not None:
                position = self.position(on_levels[:, :, 0])
            if self.position_scale is not None and index:
                position = position * self.position_scale(x)
            layout = Layout(course.spans, index, reference, said, last)
            inputs = (x, position, layout, memory, on_levels)
            x, found = taps.run(index, layer, *inputs, checkpointing=self.checkpointing)
            state, *branches = (x, *found) if self.norm is None else map(self.norm, (x, *found))
            class_logits, box_deltas = self.readers(layout)
            logits.append(class_logits(state))
            delta = box_deltas(state)
            boxes.append(move_boxes(delta, origin, self.eps))
            taps.read(index, branches, self.heads, partial(self._move_main, origin, reference))
            said, last = logits[-1], [last[-1], boxes[-1]]
            if self.refine and index + 1 < len(self.layers):
                # The norm applies to what is predicted; the next layer starts at the box of the
                # unnormalised state.
                step = delta if self.norm is None else box_deltas(x)
                same = step is delta and origin is reference
                refined = boxes[-1] if same else move_boxes(step, reference, self.eps)
                reference = refined.detach()
                origin = refined if self.look_forward_twice else reference
        return DecoderOutput(logits, boxes, state)

    def _move_main(self, origin: Tensor, reference: Tensor, delta: Tensor, tap: Tap) -> Tensor:
        """The boxes of a tap, from deltas `Tensor[B, Q, 4]` and the references of the main
        queries.
        """
        start = origin if tap.trains_before else reference
        return move_boxes(delta, start[:, : delta.shape[1]], self.eps)
