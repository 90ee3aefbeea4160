"""Groups that pass by self-attention, and that start from the queries of another group."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hdetr_d2.layers import Layout, Span, attend_or_pass
from hdetr_d2.losses import FocalLoss
from hdetr_d2.modeling.heads import PredictionHeads
from hdetr_d2.modeling.transformer import DeformableDecoder, LayerSizes
from hdetr_d2.structures import Match, Memory, Queries, QueryGroup

RECORDED = np.load(Path(__file__).with_name("dac_decoder.npz"))
LAYERS = 3
# Of the released code -> ours.
NAMES = {
    "self_attn.in_proj_": "self_attention.in_proj.",
    "self_attn.out_proj": "self_attention.out_proj",
    "cross_attn": "cross_attention",
    "norm1": "cross_norm",
    "norm2": "self_norm",
    "norm3": "feed_forward.norm",
    "linear": "feed_forward.linear",
    "bbox_embed": "heads.box_heads",
}


def recorded(name: str) -> Tensor:
    return torch.from_numpy(RECORDED[f"decoder/{name}"])


@pytest.fixture
def decoder() -> DeformableDecoder:
    heads = PredictionHeads(dim=16, num_classes=5, num_layers=LAYERS, class_loss=FocalLoss())
    sizes = LayerSizes(dim=16, num_heads=2, num_levels=2, num_points=2, feedforward_dim=32)
    decoder = DeformableDecoder(
        sizes=sizes, num_layers=LAYERS, heads=heads, look_forward_twice=True
    )
    load(decoder)
    return decoder


def load(decoder: nn.Module) -> None:
    weights = {}
    for key in RECORDED.files:
        if key.startswith("decoder_weights/"):
            name = key.removeprefix("decoder_weights/")
            for theirs, ours in NAMES.items():
                name = name.replace(theirs, ours)
            if "box_heads" in name:  # every other layer of ours is a ReLU
                name = re.sub(r"layers\.(\d)", lambda layer: str(2 * int(layer[1])), name)
            weights[name] = torch.from_numpy(RECORDED[key])
    missing, unexpected = decoder.load_state_dict(weights, strict=False)
    assert not unexpected and all(".class_heads." in name for name in missing)


def memory() -> Memory:
    shapes = tuple((h, w) for h, w in recorded("spatial_shapes").tolist())
    tokens = recorded("src")
    padding = torch.zeros(tokens.shape[:2], dtype=torch.bool)
    return Memory(tokens, padding, shapes, torch.ones(2, 2, 2))


def group(name: str, part: slice, **options) -> QueryGroup:
    parts = (recorded(key)[:, part] for key in ("tgt", "query_pos", "reference"))
    return QueryGroup(name=name, assigner=Match((1,) * LAYERS), queries=Queries(*parts), **options)


def two_streams() -> list[QueryGroup]:
    """The recorded denoising queries stand first, and see the main ones."""
    noised, main = slice(0, 2), slice(2, 6)
    return [
        group("", main),
        group("dn", noised, sees=("",)),
        group("dac", main, attends=False, branches_from=""),
        group("dac_dn", noised, attends=False, branches_from="dn"),
    ]


def test_both_streams_of_dac_detr_as_recorded(decoder: DeformableDecoder) -> None:
    main, noised, passing, passing_noised = decoder(two_streams(), memory())
    for one, other, stream in ((noised, main, "o"), (passing_noised, passing, "c")):
        states = torch.cat([one.states, other.states], 1)
        boxes = torch.cat([one.boxes, other.boxes], 2)
        torch.testing.assert_close(states, recorded(f"{stream}_states")[-1], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(boxes, recorded(f"{stream}_boxes"), rtol=1e-4, atol=1e-4)


def test_other_groups_do_not_know(decoder: DeformableDecoder) -> None:
    groups = two_streams()
    without = decoder(groups[:2], memory())
    beside = decoder(groups, memory())[:2]
    for one, other in zip(without, beside, strict=True):
        torch.testing.assert_close(one.boxes, other.boxes)


def test_gradients_reach_the_group_that_another_branches_from(decoder: DeformableDecoder) -> None:
    groups = two_streams()
    contents = [each.queries.content.requires_grad_() for each in groups]
    decoder(groups, memory())[2].boxes.sum().backward()
    assert contents[0].grad.abs().sum() > 0
    assert contents[2].grad is None or contents[2].grad.abs().sum() == 0


def test_a_group_that_passes_and_starts_with_its_own_content(decoder: DeformableDecoder) -> None:
    """No query changes what another one becomes."""
    part = slice(2, 6)
    whole = decoder([group("", part, attends=False)], memory())[0].boxes
    alone = [decoder([group("", slice(i, i + 1), attends=False)], memory())[0] for i in range(2, 6)]
    torch.testing.assert_close(whole, torch.cat([each.boxes for each in alone], 2))
    content = group("", part).queries.content
    changed = replace(group("", part).queries, content=content + 1)
    other = replace(group("", part, attends=False), queries=changed)
    assert not torch.allclose(decoder([other], memory())[0].boxes, whole)


def test_which_queries_attend() -> None:
    """By hand: attention adds 10 times the number of queries it is given; positions are the last
    layer's business.
    """

    def attend(x: Tensor, position: Tensor, layout: Layout) -> Tensor:
        asked.append([(span.blocks * span.size, span.sees) for span in layout.spans])
        assert torch.equal(position, x / 2)
        return x + 10 * x.shape[1]

    spans = [Span(1, 1, attends=False), Span(1, 2), Span(1, 1, (1,)), Span(1, 2, branches_from=1)]
    x = torch.arange(6.0)[None, :, None]
    asked: list[list] = []
    first = attend_or_pass(attend, x, x / 2, Layout(spans, 0))
    assert first.flatten().tolist() == [0, 31, 32, 33, 31, 32]
    assert asked == [[(2, ()), (1, (0,))]]
    second = attend_or_pass(attend, x, x / 2, Layout(spans, 1))
    assert second.flatten().tolist() == [0, 51, 52, 53, 54, 55]
    assert asked[1] == [(2, ()), (1, (0,)), (2, ())]
    nobody = attend_or_pass(attend, x[:, :1], x[:, :1] / 2, Layout(spans[:1], 0))
    assert nobody.tolist() == [[[0]]] and len(asked) == 2


def test_groups_that_cannot_start_so(decoder: DeformableDecoder) -> None:
    main, part = group("", slice(2, 6)), slice(2, 6)
    for name, other, reason in (
        ("dn", group("c", part, branches_from="dn"), "no group that starts there"),
        ("c", group("c", part, branches_from="c"), "no group that starts there"),
        (
            "",
            group("c", slice(0, 2), branches_from=""),
            "2 queries cannot branch off from the 4 of ''",
        ),
    ):
        with pytest.raises(ValueError, match=reason):
            decoder([main, other], memory())
        assert other.branches_from == name
    seeing = group("dn", slice(0, 2), sees=("c",))
    with pytest.raises(ValueError, match="'dn' cannot see a group that skips"):
        decoder([main, group("c", part, attends=False), seeing], memory())
    with pytest.raises(ValueError, match="'c' has sees, but no self-attention"):
        group("c", part, attends=False, sees=("",))
