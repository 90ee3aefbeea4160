"""Mr. DETR's assignment, and its three routes through one decoder layer, beside what the released
code recorded.
"""

import hdetr_d2  # noqa: F401

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from hdetr_d2.layers import Layout, Span
from hdetr_d2.losses import FocalLoss
from hdetr_d2.matching import TopKByScore
from hdetr_d2.modeling import LayerSizes
from hdetr_d2.modeling.transformer.deformable_decoder import DeformableDecoderLayer
from hdetr_d2.modeling.transformer.layer_order import SelfFirst
from hdetr_d2.schemes import InstructedBranch, SeparateBranch
from hdetr_d2.structures import Group, GroupOutput, Memory, Predictions, Targets

FILES = Path(__file__).with_name("mr_detr")
CASES = json.loads(FILES.with_suffix(".json").read_text(encoding="utf-8"))["cases"]
ARRAYS = np.load(FILES.with_suffix(".npz"))
BY_SCORE = {"topk": 6, "threshold": 0.4, "iou_weight": 0.7, "cap": 0.25, "last_wins": True}


def recorded(name: str) -> Tensor:
    return torch.from_numpy(ARRAYS[name])


def weights(prefix: str) -> dict[str, Tensor]:
    """Those that were recorded under the prefix, by the names behind it."""
    names = [name for name in ARRAYS.files if name.startswith(f"{prefix}/")]
    return {name.removeprefix(f"{prefix}/"): recorded(name) for name in names}


@pytest.mark.parametrize(("tag", "iou_weight"), [("w73", 0.7), ("w82", 0.8)])
@pytest.mark.parametrize("case", CASES)
def test_recorded_pairs(
    monkeypatch: pytest.MonkeyPatch, case: str, tag: str, iou_weight: float
) -> None:
    """In both forms; which positives count is random there, and recorded."""
    counts = CASES[case]["counts"]
    images = range(len(counts))
    labels, boxes = (
        pad_sequence([*(recorded(f"{case}/tgt{i}_{part}") for i in images), one], batch_first=True)
        for part, one in (("labels", torch.zeros(1).long()), ("boxes", torch.zeros(1, 4)))
    )
    valid = torch.arange(labels.shape[1]) < torch.tensor(counts)[:, None]
    predictions = Predictions(recorded(f"{case}/logits")[None], recorded(f"{case}/boxes")[None])
    assigner = TopKByScore(**{**BY_SCORE, "iou_weight": iou_weight})
    targets = Targets(labels[:-1], boxes[:-1], valid)
    output = GroupOutput(Group(name="", assigner=assigner), predictions, targets)
    kept = torch.zeros(1, len(counts), 1, predictions.boxes.shape[2], dtype=torch.bool)
    for image in images:
        kept[0, image, 0, recorded(f"{case}/{tag}_kept{image}")] = True
    monkeypatch.setattr(TopKByScore, "keep", lambda self, positive: positive & kept)
    found = assigner.assign(output, FocalLoss().scores, None)
    for image in images:
        rows = found.queries[0, image].tolist()
        pairs = {(query, target) for target, row in enumerate(rows) for query in row if query >= 0}
        names = [f"{case}/{tag}_o2m{image}_{part}" for part in ("query", "target")]
        wanted = list(zip(*(recorded(name).tolist() for name in names), strict=True))
        assert pairs == set(wanted)
        learned = dict(wanted)  # grouped by target, so that the last one stays
        assert found.assignment[0, image].tolist() == [
            learned.get(query, -1) for query in range(predictions.boxes.shape[2])
        ]


def routes(prefix: str, linears: bool) -> tuple[InstructedBranch, SeparateBranch]:
    """The schemes with what was recorded of their own."""
    given = {
        "norms.0.weight": recorded(f"{prefix}norm_o2m.weight"),
        "norms.0.bias": recorded(f"{prefix}norm_o2m.bias"),
        "contents": recorded(f"{prefix}instruction_o2m.weight")[None],
        "positions": recorded(f"{prefix}instruction_o2m_pos.weight")[None],
    }
    instructed = InstructedBranch(dim=16, num_layers=1, num_tokens=10, assigner=BY_SCORE)
    instructed.load_state_dict(given)
    separate = SeparateBranch(dim=16, hidden_dim=32, num_layers=1, assigner=BY_SCORE)
    if linears:
        ffn = weights("layer_weights")
        names = {"linear1": "layers.0.linear.linear_sep", "linear2": "layers.1.linear_sep"}
        separate.load_state_dict(
            {
                f"linears.0.{own}.{part}": ffn[f"ffns.0.{name}.{part}"]
                for own, name in names.items()
                for part in ("weight", "bias")
            }
        )
    return instructed, separate


def decoder_layer(given: dict[str, Tensor]) -> DeformableDecoderLayer:
    sizes = LayerSizes(dim=16, num_heads=2, num_levels=2, num_points=2, feedforward_dim=32)
    layer = DeformableDecoderLayer(sizes, SelfFirst())
    ours = {
        r"^attentions\.0\.attn\.in_proj_": "self_attention.in_proj.",
        r"^attentions\.0\.attn\.out_proj": "self_attention.out_proj",
        r"^attentions\.0\.norm_o2o": "self_norm",
        r"^attentions\.1": "cross_attention",
        r"^norms\.0": "cross_norm",
        r"^norms\.1": "feed_forward.norm",
        r"^ffns\.0\.layers\.0\.linear\.linear\.": "feed_forward.linear1.",
        r"^ffns\.0\.layers\.1\.linear\.": "feed_forward.linear2.",
    }
    renamed = {}
    for name, value in given.items():
        for theirs, mine in ours.items():
            if re.search(theirs, name):
                renamed[re.sub(theirs, mine, name)] = value
    layer.load_state_dict(renamed)
    return layer


def test_the_three_routes_of_a_layer_in_one_pass() -> None:
    layer = decoder_layer(weights("layer_weights"))
    instructed, separate = routes("layer_weights/attentions.0.", linears=True)
    spans = [
        Span(1, 7),
        Span(1, 7, own={"self_norm": instructed._norm}, tokens=instructed._tokens),
        Span(1, 7, own={"feed_forward": separate._feed_forward}),
    ]
    x, position, value, reference = (
        recorded(f"layer/{name}") for name in ("query", "query_pos", "value", "reference_points")
    )
    memory = Memory(value, torch.zeros(2, 26).bool(), ((4, 5), (2, 3)), torch.ones(2, 2, 2))
    row = (x.repeat(1, 3, 1), position.repeat(1, 3, 1))
    found = layer(*row, Layout(spans), memory, reference.repeat(1, 3, 1, 1)).split(7, 1)
    for name, route in zip(("o2o", "o2m", "sep"), found, strict=True):
        torch.testing.assert_close(route, recorded(f"layer/out_{name}"), rtol=1e-4, atol=1e-5)


def test_the_instructed_self_attention_and_its_gradients() -> None:
    sizes = LayerSizes(dim=16, num_heads=2, num_levels=2, num_points=2, feedforward_dim=32)
    attention, norm = sizes.self_attention(), nn.LayerNorm(16)
    given = weights("attn_weights")
    attention.load_state_dict(
        {
            "in_proj.weight": given["attn.in_proj_weight"],
            "in_proj.bias": given["attn.in_proj_bias"],
            "out_proj.weight": given["attn.out_proj.weight"],
            "out_proj.bias": given["attn.out_proj.bias"],
        }
    )
    instructed, _ = routes("attn_weights/", linears=False)
    norm.load_state_dict({part: given[f"norm_o2o.{part}"] for part in ("weight", "bias")})
    kinds = (("o2m", instructed._tokens, instructed.norms[0]), ("o2o", None, norm))
    for name, tokens, behind in kinds:
        x, position = (recorded(f"attn/{part}").requires_grad_() for part in ("query", "query_pos"))
        out = behind(x + attention(x, position, Layout([Span(1, 7, tokens=tokens)])))
        torch.testing.assert_close(out, recorded(f"attn/out_{name}"), rtol=1e-4, atol=1e-5)
        leaves = {"query": x, "query_pos": position}
        if tokens:
            leaves |= {
                "instruction": instructed.contents,
                "instruction_pos": instructed.positions,
            }
        gradients = torch.autograd.grad(out.square().sum(), [*leaves.values()])
        for part, gradient in zip(leaves, gradients, strict=True):
            wanted = recorded(f"attn/grad_sumsq_{name}_{part}").expand_as(gradient)
            torch.testing.assert_close(gradient, wanted, rtol=1e-3, atol=1e-4)
