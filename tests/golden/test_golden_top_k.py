"""The assignment by IoU and score, and the losses of its pairs, beside what the released code of
MS-DETR and DAC-DETR recorded.
"""

import hdetr_d2  # noqa: F401

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from hdetr_d2.losses import ClassLoss, Criterion, FocalLoss, IoUAwareLoss
from hdetr_d2.matching import HungarianMatcher, Ranked, TopKByScore
from hdetr_d2.structures import Group, GroupOutput, Pairs, Predictions, Step, Targets

FILES = Path(__file__).with_name("top_k")
RECORDED = json.loads(FILES.with_suffix(".json").read_text(encoding="utf-8"))
ARRAYS = np.load(FILES.with_suffix(".npz"))
CASES = [(name, case) for name, method in RECORDED.items() for case in method["cases"]]
MS_DETR, DAC_DETR = (
    [case for method, case in CASES if method == name] for name in ("ms_detr", "dac_detr")
)


class Recorded:
    """One case of a method: its arrays by name."""

    def __init__(self, name: str, case: str) -> None:
        self.prefix = f"{name}/{case}"
        self.about = RECORDED[name]["cases"][case]
        self.images = range(len(self.about["counts"]))

    def __call__(self, name: str) -> Tensor:
        return torch.from_numpy(ARRAYS[f"{self.prefix}/{name}"])

    def output(self, logits: str, boxes: str, assigner: TopKByScore) -> GroupOutput:
        labels, truth = (
            pad_sequence([self(f"tgt{i}_{part}") for i in self.images], batch_first=True)
            for part in ("labels", "boxes")
        )
        labels, truth = pad(labels, (0, 1)), pad(truth, (0, 0, 0, 1))  # at least one
        valid = torch.arange(labels.shape[1]) < torch.tensor(self.about["counts"])[:, None]
        predictions = Predictions(
            self(logits)[None].requires_grad_(), self(boxes)[None].requires_grad_()
        )
        group = Group(name="", assigner=assigner)
        return GroupOutput(group, predictions, Targets(labels, truth, valid))

    def pairs(self) -> list[set[tuple[int, int]]]:
        """Query and target, of each image."""
        names = [(f"o2m{image}_query", f"o2m{image}_target") for image in self.images]
        return [set(zip(*(self(name).tolist() for name in pair), strict=True)) for pair in names]


def criterion(class_loss: ClassLoss | None = None) -> Criterion:
    weights = {"class": 1.0, "bbox": 1.0, "giou": 1.0}
    matcher = HungarianMatcher(weights=weights)
    return Criterion(class_loss=class_loss or FocalLoss(), matcher=matcher, weights=weights)


def found(pairs: Pairs) -> list[set[tuple[int, int]]]:
    (of_images,) = pairs.queries.tolist()
    return [
        {(query, target) for target, row in enumerate(rows) for query in row if query >= 0}
        for rows in of_images
    ]


def assigned(monkeypatch: pytest.MonkeyPatch, recorded: Recorded, output: GroupOutput) -> Pairs:
    """Which positives count is random in the released code: those that did are recorded."""
    queries = output.predictions.boxes.shape[2]
    kept = torch.zeros(1, len(recorded.images), 1, queries, dtype=torch.bool)
    for image in recorded.images:
        kept[0, image, 0, recorded(f"kept{image}")] = True

    def keep(self: TopKByScore, positive: Tensor) -> Tensor:
        assert (positive | ~kept).all(), "what was kept is positive"
        assert (positive == kept).all() or kept.sum() == int(0.25 * queries)
        return kept

    monkeypatch.setattr(TopKByScore, "keep", keep)
    (pairs,) = criterion().assign([output])
    assert isinstance(pairs, Pairs)
    return pairs


def options(about: dict[str, Any]) -> dict[str, Any]:
    return {"topk": about["topk"], "threshold": about["threshold"]}


@pytest.mark.parametrize(("name", "case"), CASES)
def test_recorded_pairs(monkeypatch: pytest.MonkeyPatch, name: str, case: str) -> None:
    recorded = Recorded(name, case)
    names = ("logits", "boxes") if name == "ms_detr" else ("c_logits", "o_boxes")
    output = recorded.output(*names, TopKByScore(**options(recorded.about)))
    assert found(assigned(monkeypatch, recorded, output)) == recorded.pairs()


@pytest.mark.parametrize("case", MS_DETR)
def test_recorded_losses(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    recorded = Recorded("ms_detr", case)
    output = recorded.output("logits", "boxes", TopKByScore(**options(recorded.about)))
    pairs = assigned(monkeypatch, recorded, output)
    losses = criterion()(output, pairs, Step(torch.tensor(float(sum(recorded.about["counts"])))))
    about = recorded.about["losses"]
    wanted = [about[f"loss_{kind}"] for kind in ("ce", "bbox", "giou")]
    assert [loss.item() for loss in losses.values()] == pytest.approx(wanted, rel=1e-4)
    of_logits, of_boxes = output.predictions.logits, output.predictions.boxes
    for loss, leaf, gradient in (
        ("loss_class", of_logits, "grad_loss_ce_logits"),
        ("loss_giou", of_boxes, "grad_loss_giou_boxes"),
    ):
        (got,) = torch.autograd.grad(losses[loss], leaf, retain_graph=True)
        torch.testing.assert_close(got[0], recorded(gradient), rtol=1e-3, atol=1e-5)


class Fixed:
    """The assigner inside of a `Ranked`: what another one found."""

    capacity = ()

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs

    def assign(self, *asked: object) -> Pairs:
        return self.pairs


@pytest.mark.parametrize("case", DAC_DETR)
def test_recorded_losses_by_rank(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """The released code of DAC-DETR chooses by the boxes of one stream, and learns by those of the
    other.
    """
    recorded = Recorded("dac_detr", case)
    rule = TopKByScore(**options(recorded.about), last_wins=True)
    pairs = assigned(monkeypatch, recorded, recorded.output("c_logits", "o_boxes", rule))
    output = recorded.output("c_logits", "c_boxes", rule)
    ranked = Ranked(assigner=Fixed(pairs)).assign(output, torch.sigmoid, None)
    step = Step(torch.tensor(float(recorded.about["normaliser"])) / 3)
    output = replace(output, group=replace(output.group, assigner=TopKByScore(normaliser_factor=3)))
    losses = criterion(IoUAwareLoss())(output, ranked, step)
    about = recorded.about["losses"]
    names = {"loss_class": "loss_ce", "loss_bbox": "loss_bbox", "loss_giou": "loss_giou"}
    if case == "overlap":  # there, a query that serves objects of two classes learns both
        del names["loss_class"]
    wanted = [about[name] for name in names.values()]
    assert [losses[name].item() for name in names] == pytest.approx(wanted, rel=1e-4)
    leaves = {"loss_class": output.predictions.logits, "loss_giou": output.predictions.boxes}
    ends = {"loss_class": "ce_c_logits", "loss_giou": "giou_c_boxes"}
    for name in leaves.keys() & names.keys():
        (got,) = torch.autograd.grad(losses[name], leaves[name], retain_graph=True)
        torch.testing.assert_close(
            got[0], recorded(f"grad_loss_{ends[name]}"), rtol=1e-3, atol=1e-5
        )


def test_a_query_of_two_targets_learns_the_class_that_the_rule_says() -> None:
    recorded = Recorded("ms_detr", "overlap")
    first = recorded.output("logits", "boxes", TopKByScore())
    both = replace(first, group=replace(first.group, assigner=TopKByScore(last_wins=True)))
    one, other = criterion().assign([first, both])
    assert isinstance(one, Pairs) and isinstance(other, Pairs)
    assert torch.equal(one.queries, other.queries)
    # Of targets 0 and 1; the released code of MS-DETR has it learn the class of the latter pair.
    order = list(zip(*(recorded(f"o2m0_{x}").tolist() for x in ("query", "target")), strict=True))
    last = [target for query, target in order if query == 24][-1]
    assert one.assignment[0, 0, 24] == last
    assert other.assignment[0, 0, 24] == 1
