"""Relation-DETR's decoder against what its released code recorded, and its own parts."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hdetr_d2.layers import MLP, BoxRelation, ReferencePosition
from hdetr_d2.losses import VarifocalLoss
from hdetr_d2.modeling import DeformableDecoder, LayerFusion, LayerSizes, PredictionHeads
from hdetr_d2.modeling.scheme_parts import select
from hdetr_d2.structures import Given, Match, Memory, Queries, QueryGroup

RECORDED = np.load(Path(__file__).parents[1] / "golden" / "relation_detr.npz")
DIM, HEADS, LAYERS, CLASSES = 16, 2, 3, 5
MODEL = "common/models/relation_detr.py"
NAMES = [
    ("self_attn.in_proj_", "self_attention.in_proj."),
    ("self_attn.", "self_attention."),
    ("cross_attn.", "cross_attention."),
    ("norm2.", "self_norm."),
    ("norm1.", "cross_norm."),
    ("norm3.", "feed_forward.norm."),
    ("linear1.", "feed_forward.linear1."),
    ("linear2.", "feed_forward.linear2."),
    ("ref_point_head.layers.0.", "position.mlp.0."),
    ("ref_point_head.layers.1.", "position.mlp.2."),
    ("query_scale.layers.0.", "position_scale.0."),
    ("query_scale.layers.1.", "position_scale.2."),
    ("class_head.", "heads.class_heads."),
    ("bbox_head.", "heads.box_heads."),
    ("position_relation_embedding.pos_proj.0.", "attention_bias.proj."),
]


def array(name: str) -> Tensor:
    return torch.from_numpy(RECORDED[f"decoder/{name}"])


def our_name(theirs: str) -> str:
    for old, new in NAMES:
        if old in theirs:
            theirs = theirs.replace(old, new)
            break
    if "box_heads." in theirs:  # its linear layers have places of ReLUs between them
        head, place, kind = theirs.replace(".layers.", ".").rsplit(".", 2)
        theirs = f"{head}.{2 * int(place)}.{kind}"
    return theirs


@pytest.fixture(scope="module")
def decoder() -> DeformableDecoder:
    sizes = LayerSizes(dim=DIM, num_heads=HEADS, num_levels=2, num_points=2, feedforward_dim=32)
    heads = PredictionHeads(
        dim=DIM, num_classes=CLASSES, num_layers=LAYERS, class_loss=VarifocalLoss()
    )
    decoder = DeformableDecoder(
        sizes=sizes,
        num_layers=LAYERS,
        heads=heads,
        look_forward_twice=True,
        position=ReferencePosition(dim=DIM),
        position_scale=MLP(DIM, DIM, DIM, 2),
        norm=nn.LayerNorm(DIM),
        attention_bias=BoxRelation(num_heads=HEADS),
        eps=1e-3,
    )
    names = [name for name in RECORDED if name.startswith("decoder_weights/")]
    weights = {our_name(n.split("/")[1]): torch.from_numpy(RECORDED[n]) for n in names}
    shapes = {name: value.shape for name, value in decoder.state_dict().items()}
    decoder.load_state_dict({name: value.view(shapes[name]) for name, value in weights.items()})
    return decoder


def memory() -> Memory:
    tokens = array("value")
    shapes = tuple((int(h), int(w)) for h, w in array("spatial_shapes"))
    padding = torch.zeros(tokens.shape[:2], dtype=torch.bool)
    return Memory(tokens, padding, shapes, torch.ones(len(tokens), len(shapes), 2), None)


def group(name: str, part: slice, **options) -> QueryGroup:
    queries = Queries(array("query")[:, part], None, array("reference")[:, part])
    return QueryGroup(name=name, queries=queries, **{"assigner": Match((1,) * LAYERS), **options})


def check(found, recorded: str, part: slice = slice(None)) -> None:
    """The last bit of a box moves the logits of later layers by up to 3e-4."""
    for name, mine, error in (("logits", found.logits, 5e-4), ("boxes", found.boxes, 1e-4)):
        known = array(f"{recorded}_{name}")[:, :, part]
        torch.testing.assert_close(mine, known, rtol=error, atol=error)


@torch.no_grad()
def test_the_main_queries(decoder):
    (found,) = decoder([group("", slice(None))], memory())
    check(found, "plain")


@torch.no_grad()
def test_the_hybrid_branch_goes_without(decoder):
    """Recorded under the mask of the next test."""
    assigner = Given(torch.zeros(LAYERS, 2, 2, dtype=torch.int64), repeats=1)
    noised = group("dn", slice(2), assigner=assigner, sees=("one2many",))
    branch, noise = decoder([group("one2many", slice(2, 6)), noised], memory())
    check(branch, "skip_relation", slice(2, 6))
    check(noise, "skip_relation", slice(2))


@torch.no_grad()
def test_denoising_queries_have_it_to_the_main_ones_too(decoder):
    """Recorded in one row under a mask, the first two being those of denoising."""
    assigner = Given(torch.zeros(LAYERS, 2, 2, dtype=torch.int64), repeats=1)
    groups = [group("", slice(2, 6)), group("dn", slice(2), assigner=assigner, sees=("",))]
    main, noised = decoder(groups, memory())
    check(main, "masked", slice(2, 6))
    check(noised, "masked", slice(2))


def test_fusion_by_hand():
    fusion = LayerFusion(dim=4, num_layers=2)
    states = list(torch.randn(3, 1, 5, 4))
    hidden = torch.cat(states, -1) @ fusion.mlp[0].weight.T + fusion.mlp[0].bias
    sums = hidden.clamp(min=0) @ fusion.mlp[2].weight.T + fusion.mlp[2].bias
    expected = nn.functional.layer_norm(sums, (4,))
    torch.testing.assert_close(fusion(states), expected)


def losses_of(model, batch):
    losses = model(batch)
    sum(losses.values()).backward()
    return losses


@pytest.mark.parametrize("counts", [[2, 1], [2, 0], [0, 0]])
def test_every_parameter_gets_a_gradient(tiny_model, make_batch, counts):
    model = tiny_model(MODEL, schemes__1__num_queries=24)
    losses = losses_of(model, make_batch(counts))
    assert all(loss.isfinite() for loss in losses.values())
    names = {f"loss_{kind}_one2many_enc" for kind in ("class", "bbox", "giou")}
    assert names <= set(losses)
    missing = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []


def test_the_branch_has_proposals_of_its_own(tiny_model, make_batch):
    """Other heads choose other proposals, and what they choose does not depend on the main ones."""
    model = tiny_model(MODEL, schemes__1__num_queries=24)
    memory = model.encode([item["image"] for item in make_batch([1, 1])]).memory
    selected = partial(
        select, model.query_selection, model.schemes, dict(model.scheme_slots.items()), memory
    )
    selection, slots, proposals = selected()
    assert selection.extra == []
    assert torch.equal(slots["one2many"].reference, proposals["one2many"].boxes[0].detach())
    best = slots["one2many"].reference
    model.query_selection.slots.num -= 3
    torch.testing.assert_close(selected()[1]["one2many"].reference, best)
    with torch.no_grad():
        model.schemes[1].heads.class_heads[0].weight.neg_()
    assert not torch.equal(selected()[1]["one2many"].reference, best)


def test_a_target_takes_six_of_its_proposals(tiny_model, make_batch, monkeypatch):
    model = tiny_model(MODEL, schemes__1__num_queries=24)
    seen = {}
    assign = model.criterion.assign

    def remember(outputs, progress):
        answers = assign(outputs, progress)
        seen.update({o.group.name: a for o, a in zip(outputs, answers, strict=True)})
        return answers

    monkeypatch.setattr(model.criterion, "assign", remember)
    model(make_batch([2, 1]))
    counts = [(row >= 0).sum().item() for row in seen["one2many_enc"][0]]
    assert counts == [12, 6]
    assert [(row >= 0).sum().item() for row in seen["enc"][0]] == [2, 1]


def test_learned_queries_cannot_have_proposals(tiny_model):
    heads = {"_target_": "torch.nn.Identity"}
    branch = {
        "_target_": "hdetr_d2.schemes.HybridBranch",
        "num_queries": 4,
        "repeats": 2,
        "proposal_heads": heads,
    }
    with pytest.raises(ValueError, match="proposal_heads, but the queries of model"):
        tiny_model("common/models/deformable_detr.py", schemes=[branch])


@torch.no_grad()
def test_evaluation_knows_the_relation_and_no_scheme(tiny_model, make_batch):
    batch = make_batch([1, 1])
    model = tiny_model(MODEL, schemes__1__num_queries=24).eval()
    plain = tiny_model(MODEL, schemes=[]).eval()
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if k in plain.state_dict()})
    for one, other in zip(model(batch), plain(batch), strict=True):
        assert torch.equal(one["instances"].scores, other["instances"].scores)
    plain.decoder.attention_bias = None
    assert not torch.equal(plain(batch)[0]["instances"].scores, one["instances"].scores)
