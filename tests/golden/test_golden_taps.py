"""A decoder layer of MS-DETR and one of LoRA-DETR, and the losses of LoRA-DETR's branches, as their
released codes recorded them.
"""

import hdetr_d2  # noqa: F401

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hdetr_d2.layers import Layout, Span
from hdetr_d2.losses import Criterion, GradedLoss
from hdetr_d2.matching import HungarianMatcher, TopKByScore
from hdetr_d2.modeling import CrossFirst, LayerSizes
from hdetr_d2.modeling.transformer import LayerOrder, SelfFirst
from hdetr_d2.modeling.transformer.deformable_decoder import DeformableDecoderLayer
from hdetr_d2.schemes import LowRankBranch, MixedSupervision
from hdetr_d2.structures import Match, Memory, Step

sys.path.insert(0, str(Path(__file__).parent))
from test_golden_top_k import Recorded, found

FILES = Path(__file__).with_name("taps")
RECORDED = json.loads(FILES.with_suffix(".json").read_text(encoding="utf-8"))
ARRAYS = np.load(FILES.with_suffix(".npz"))
CASES = RECORDED["lora_detr"]["cases"]
SIZES = LayerSizes(dim=16, num_heads=2, num_levels=2, num_points=2, feedforward_dim=32)
NAMES = {
    r"^cross_attn\.": "cross_attention.",
    r"^norm1\.": "cross_norm.",
    r"^self_attn\.in_proj_": "self_attention.in_proj.",
    r"^self_attn\.": "self_attention.",
    r"^norm2\.": "self_norm.",
    r"^(linear[12])\.": r"feed_forward.\1.",
    r"^norm3\.": "feed_forward.norm.",
}


class Layer:
    """The recorded layer of a method: its weights and what it was given."""

    def __init__(self, method: str, order: LayerOrder) -> None:
        prefix = f"{method}/layer_weights/"
        self.method = method
        self.weights = {
            name.removeprefix(prefix): torch.from_numpy(ARRAYS[name])
            for name in ARRAYS.files
            if name.startswith(prefix)
        }
        self.layer = DeformableDecoderLayer(SIZES, order)
        self.layer.load_state_dict(self.renamed(NAMES))

    def renamed(self, names: Mapping[str, str]) -> dict[str, Tensor]:
        """The weights that any of the patterns is found in."""
        return {
            re.sub(pattern, ours, name): value
            for name, value in self.weights.items()
            for pattern, ours in names.items()
            if re.match(pattern, name) and not (pattern == r"^self_attn\." and "in_proj" in name)
        }

    def __call__(self, name: str) -> Tensor:
        return torch.from_numpy(ARRAYS[f"{self.method}/layer/{name}"])

    def run(self) -> tuple[Tensor, Tensor]:
        """Its output, and the queries after the attention to the memory."""
        tokens, shapes = self("src"), [tuple(shape) for shape in self("spatial_shapes").tolist()]
        padding = torch.zeros(tokens.shape[:2], dtype=torch.bool)
        memory = Memory(tokens, padding, shapes, torch.ones(2, 2, 2))
        layout = Layout([Span(1, 6)])
        inputs = (self("tgt"), self("query_pos"), layout, memory, self("reference"))
        output, middle = self.layer(*inputs, branch_off=lambda x: [x])
        return output, middle


def test_the_layer_of_ms_detr() -> None:
    recorded = Layer("ms_detr", CrossFirst())
    output, middle = recorded.run()
    torch.testing.assert_close(output, recorded("out_o2o"), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(middle, recorded("out_o2m_without_aux_ffn"), rtol=1e-4, atol=1e-5)
    scheme = MixedSupervision(num_layers=1, assigner=TopKByScore(), sizes=SIZES)
    names = {r"^linear3\.": "linear1.", r"^linear4\.": "linear2.", r"^norm4\.": "norm."}
    scheme.feed_forwards[0].load_state_dict(recorded.renamed(names))
    learns = scheme.branch(0, recorded.layer, middle)
    torch.testing.assert_close(learns, recorded("out_o2m"), rtol=1e-4, atol=1e-5)


def test_the_layer_of_lora_detr() -> None:
    recorded = Layer("lora_detr", SelfFirst())
    output, middle = recorded.run()
    torch.testing.assert_close(output, recorded("out_main"), rtol=1e-4, atol=1e-5)
    for branch, expected in enumerate(recorded("out_branches")):
        scheme = LowRankBranch(num_layers=1, dim=16, hidden_dim=32, rank=4, assigner=TopKByScore())
        for number, thin in ((1, scheme.to_hidden[0]), (2, scheme.from_hidden[0])):
            for part, letter in zip(thin, "AB", strict=True):
                name = f"linear{number}_lora.lora_layers.{branch}.{letter}"
                part.weight = nn.Parameter(recorded.weights[name].T)
        learns = scheme.branch(0, recorded.layer, middle)
        torch.testing.assert_close(learns, expected, rtol=1e-4, atol=1e-5)


class Branches(Recorded):
    """A case of LoRA-DETR, whose branches all saw the same predictions."""

    def __init__(self, case: str) -> None:
        self.prefix = f"lora_detr/{case}"
        self.about = CASES[case]
        self.images = range(len(self.about["counts"]))

    def __call__(self, name: str) -> Tensor:
        return torch.from_numpy(ARRAYS[f"{self.prefix}/{name.replace('o2m', self.branch + 'o2m')}"])

    branch = ""


def losses_of(recorded: Branches, assigner: TopKByScore | Match, name: str) -> None:
    """Compares the losses, and the gradient of the class loss."""
    weights = {"class": 2.0, "bbox": 5.0, "giou": 2.0}
    criterion = Criterion(
        class_loss=GradedLoss(), matcher=HungarianMatcher(weights=weights), weights=weights
    )
    output = recorded.output("logits", "boxes", assigner)
    (learned,) = criterion.assign([output])
    if isinstance(assigner, TopKByScore):
        assert found(learned) == recorded.pairs()
    step = Step(torch.tensor(float(sum(recorded.about["counts"]))))
    losses = criterion(output, learned, step)
    about = recorded.about["losses"]
    wanted = {
        f"loss_{ours}": weights[ours] * about[f"{name}_loss_{theirs}"]
        for ours, theirs in (("class", "ce"), ("bbox", "bbox"), ("giou", "giou"))
    }
    if recorded.about["queries_of_two"] and name == "branch0":
        # In the released code a query that serves objects of two classes learns both scores.
        del wanted["loss_class"]
    assert {k: losses[k].item() for k in wanted} == pytest.approx(wanted, rel=1e-4)
    if "loss_class" not in wanted:
        return
    (got,) = torch.autograd.grad(losses["loss_class"], output.predictions.logits)
    expected = 2 * recorded(f"grad_{name}_loss_ce_logits")
    torch.testing.assert_close(got[0], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_losses_of_lora_detrs_branches(case: str) -> None:
    recorded = Branches(case)
    losses_of(recorded, Match((1,)), "main")
    for number, topk in enumerate(recorded.about["ks"]):
        recorded.branch = f"branch{number}_"
        losses_of(recorded, TopKByScore(topk=topk, grades=True), f"branch{number}")
