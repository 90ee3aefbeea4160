"""The decoder of DETR (https://arxiv.org/abs/2005.12872), over all query groups in one pass."""

from collections.abc import Sequence

from torch import Tensor, nn

from hdetr_d2.layers import AttentionBias, Layout, Span
from hdetr_d2.modeling.heads import PredictionHeads
from hdetr_d2.modeling.transformer.base import Decoder
from hdetr_d2.modeling.transformer.coder_layers import DecoderLayer
from hdetr_d2.modeling.transformer.course import Course
from hdetr_d2.modeling.transformer.layer_order import LayerOrder, SelfFirst
from hdetr_d2.modeling.transformer.sizes import DenseLayerSizes
from hdetr_d2.modeling.transformer.taps import Taps
from hdetr_d2.structures import DecoderOutput, Memory, Queries


class DenseDecoderLayer(DecoderLayer):
    """Self-attention within each group, cross-attention to all tokens of the memory, feed-forward
    network.
    """

    def __init__(self, sizes: DenseLayerSizes, order: LayerOrder) -> None:
        super().__init__(sizes, order, sizes.dense_attention())

    def attend(self, query: Tensor, memory: Memory) -> Tensor:
        assert memory.position is not None  # set by the encoder of the same family
        placed = memory.tokens + memory.position
        return self.cross_attention(query, placed, memory.tokens, memory.padding)


class DenseDecoder(Decoder):
    """Maps query groups and memory to the predictions of every layer. Queries have positions but no
    references; every layer predicts boxes anew.

    Args:
        sizes: of every layer.
        num_layers: decoder layers.
        heads: class and box heads, which read the normalised states.
        attention_bias: of the main group's self-attention; see `Decoder`.
        order: which attention comes first in a layer; None for self-attention.
        checkpointing: recompute a layer's activations in the backward pass instead of storing them.
    """

    refine = False

    def __init__(
        self,
        *,
        sizes: DenseLayerSizes,
        num_layers: int,
        heads: PredictionHeads,
        attention_bias: AttentionBias | None = None,
        order: LayerOrder | None = None,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.num_layers = num_layers
        self.heads = heads
        self.attention_bias = attention_bias
        self.checkpointing = checkpointing
        order = order or SelfFirst()
        self.layers = nn.ModuleList(DenseDecoderLayer(sizes, order) for _ in range(num_layers))
        self.norm = sizes.norm()

    def decode(
        self, queries: Queries, groups: Sequence[Span], memory: Memory, taps: Taps
    ) -> DecoderOutput:
        course = Course(groups)
        x = course.present(queries.content)
        reference: Tensor | None = None
        said: Tensor | None = None
        last: list[Tensor | None] = [None, None]
        logits: list[Tensor] = []  # list[Tensor]() could not be compiled
        boxes: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            x, reference, said, *last = course.enter(index, x, reference, said, *last)
            layout = Layout(course.spans, index, reference, said, last)
            inputs = (x, course.present(queries.position), layout, memory)
            x, found = taps.run(index, layer, *inputs, checkpointing=self.checkpointing)
            state, *branches = map(self.norm, (x, *found))
            class_logits, box_deltas = self.readers(layout)
            logits.append(class_logits(state))
            boxes.append(box_deltas(state).sigmoid())
            taps.read(index, branches, self.heads, lambda delta, _: delta.sigmoid())
            reference, said, last = boxes[-1].detach(), logits[-1], [last[-1], boxes[-1]]
        return DecoderOutput(logits, boxes, state)
