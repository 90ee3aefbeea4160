"""Query groups that skip the self-attention of decoder layers."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hdetr_d2.layers.self_attention import Layout


def attend_or_pass(
    attend: Callable[[Tensor, Tensor, Layout], Tensor],
    x: Tensor,
    position: Tensor,
    layout: Layout,
) -> Tensor:
    """Applies self-attention to the queries `Tensor[B, Q, C]` of those groups that have it in this
    layer. Other groups pass unchanged; a group that branches off from another one here starts from
    that group's output.

    Args:
        attend: maps the attending queries, their positions and their layout to their new content.
        x, position: `Tensor[B, Q, C]`, all groups.
        layout: of all groups.
    """
    first = layout.layer == 0
    sources = [span.branches_from if first else None for span in layout.spans]
    attending = [
        place
        for place, (span, source) in enumerate(zip(layout.spans, sources, strict=True))
        if span.attends and source is None
    ]
    if len(attending) == len(sources):
        return attend(x, position, layout)
    (after,) = layout.split(x)
    if attending:
        part, pick = _part(layout, attending)
        (attended,) = part.split(attend(pick(x), pick(position), part))
        met = dict(zip(attending, attended, strict=True))
        after = [met.get(place, row) for place, row in enumerate(after)]
    rows = [after[place if source is None else source] for place, source in enumerate(sources)]
    return torch.cat(rows, 1)


def _part(layout: Layout, places: Sequence[int]) -> tuple[Layout, Callable[[Tensor], Tensor]]:
    """The layout of some of the groups, which attend only to each other, and a function that
    selects their part of a row.
    """

    def pick(row: Tensor) -> Tensor:
        (parts,) = layout.split(row)
        return torch.cat([parts[place] for place in places], 1)

    spans = [layout.spans[place] for place in places]
    part = layout._replace(
        spans=[span._replace(sees=tuple(map(places.index, span.sees))) for span in spans]
    )
    if part.biased:
        told = (layout.reference, layout.logits, *layout.boxes)
        reference, logits, *boxes = [None if row is None else pick(row) for row in told]
        part = part._replace(reference=reference, logits=logits, boxes=boxes)
    return part, pick
