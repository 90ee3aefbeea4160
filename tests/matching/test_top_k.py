"""The assignment by IoU and score, beside a loop over targets and queries."""

import pytest
import torch
from torch import Tensor

from hdetr_d2.matching import TopKByScore
from hdetr_d2.ops import box_cxcywh_to_xyxy, box_iou
from hdetr_d2.structures import BACKGROUND, Group, GroupOutput, Pairs, Predictions, Step, Targets


def make_output(
    counts: list[int], queries: int, assigner: TopKByScore, layers: int = 2, blocks: int = 1
) -> GroupOutput:
    """Half of the queries are near a target."""
    batch, most = len(counts), max(1, *counts)
    boxes = 0.2 + 0.4 * torch.rand(batch, most, 4)
    valid = torch.arange(most) < torch.tensor(counts)[:, None]
    near = torch.randint(most, (layers, batch, queries, 1)).expand(-1, -1, -1, 4)
    predicted = boxes.expand(layers, -1, -1, -1).gather(2, near)
    predicted = (predicted + 0.1 * torch.randn(layers, batch, queries, 4)).clamp(0.01, 0.99)
    targets = Targets(torch.randint(3, (batch, most)), boxes, valid)
    predictions = Predictions(torch.randn(layers, batch, queries, 3), predicted)
    return GroupOutput(Group(name="", assigner=assigner, blocks=blocks), predictions, targets)


def by_loops(score: Tensor, rule: TopKByScore) -> list[list[int]]:
    """The queries of each target, of S `Tensor[G, N]` without padding."""
    targets, queries = score.shape
    positives = []
    for query in range(queries):
        leads = any(score[target].argmax() == query for target in range(targets))
        if targets and (leads or score[:, query].max() >= rule.threshold):
            positives.append(query)
    place = {query: (query * 0.6180339887498949) % 1 for query in positives}
    positives = sorted(positives, key=lambda query: place[query])[: int(rule.cap * queries)]
    best = [int(score[:, query].argmax()) for query in positives]
    return [
        score[target].argsort(descending=True)[: min(rule.topk, best.count(target))].tolist()
        for target in range(targets)
    ]


@pytest.mark.parametrize(
    ("counts", "queries", "blocks", "options"),
    [
        ([3, 2], 20, 1, {}),
        ([3, 0], 20, 1, {"topk": 2, "cap": 1.0}),
        ([4, 1], 24, 2, {"threshold": 0.6, "cap": 0.5}),
        ([2, 5], 3, 1, {"cap": 1.0}),
        ([5, 6], 30, 1, {"cap": 0.1, "iou_weight": 0.2}),
        ([3, 2], 20, 1, {"last_wins": True, "cap": 1.0, "threshold": 0.1, "topk": 20}),
    ],
)
def test_as_by_loops(counts: list[int], queries: int, blocks: int, options: dict) -> None:
    rule = TopKByScore(**options)
    output = make_output(counts, queries, rule, blocks=blocks)
    pairs = rule.assign(output, torch.sigmoid, None)
    size, p = queries // blocks, output.predictions
    for layer in range(2):
        for image, count in enumerate(counts):
            labels, truth = output.targets.labels[image], output.targets.boxes[image]
            iou = box_iou(
                box_cxcywh_to_xyxy(truth[:count, None]), box_cxcywh_to_xyxy(p.boxes[layer, image])
            )
            known = p.logits[layer, image].sigmoid()[:, labels[:count]].T
            score = rule.iou_weight * iou + (1 - rule.iou_weight) * known
            wanted: list[list[int]] = [[] for _ in range(count)]
            for block in range(blocks):
                part = slice(block * size, (block + 1) * size)
                for target, found in enumerate(by_loops(score[:, part], rule)):
                    wanted[target] += [query + block * size for query in found]
            got = pairs.queries[layer, image].tolist()
            assert [sorted(q for q in row if q >= 0) for row in got[:count]] == [
                sorted(row) for row in wanted
            ]
            assert all(query == BACKGROUND for row in got[count:] for query in row)
            classes = []
            for query in range(queries):
                serves = [t for t in range(count) if query in wanted[t]]
                value = [(t if rule.last_wins else float(score[t, query]), t) for t in serves]
                classes.append(max(value)[1] if serves else BACKGROUND)
            assert pairs.assignment[layer, image].tolist() == classes


def test_by_hand() -> None:
    """Two targets of one class; queries on both, between them, and far away."""
    boxes = torch.tensor([[[0.3, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2]]])
    targets = Targets(torch.zeros(1, 2, dtype=torch.int64), boxes, torch.ones(1, 2).bool())
    places = [
        [0.3, 0.5, 0.2, 0.2],
        [0.31, 0.5, 0.2, 0.2],
        [0.4, 0.5, 0.2, 0.2],
        [0.9, 0.9, 0.1, 0.1],
    ]
    predictions = Predictions(torch.zeros(1, 1, 4, 1), torch.tensor(places)[None, None])
    rule = TopKByScore(topk=3, cap=1.0, grades=True)
    pairs = rule.assign(
        GroupOutput(Group(name="", assigner=rule), predictions, targets), torch.sigmoid, None
    )
    # The third, with an IoU of a third, is the best of the second target, but likes the first no
    # less: it counts for the first, which takes three, and the second gets none.
    assert sorted(pairs.queries[0, 0, 0].tolist()) == [0, 1, 2]
    assert pairs.queries[0, 0, 1].tolist() == [BACKGROUND] * 3
    assert pairs.assignment.tolist() == [[[0, 0, 0, BACKGROUND]]]
    assert pairs.quality is not None
    expected = [0.7 + 0.15, 0.7 * 0.19 / 0.21 + 0.15, 0.7 / 3 + 0.15]
    torch.testing.assert_close(pairs.quality[0, 0, 0], torch.tensor(expected))


def test_no_queries() -> None:
    rule = TopKByScore()
    pairs = rule.assign(make_output([2, 1], 0, rule), torch.sigmoid, None)
    assert pairs.queries.shape == (2, 2, 2, 0) and pairs.assignment.shape == (2, 2, 0)


def test_what_the_losses_are_divided_by() -> None:
    assert TopKByScore(normaliser_factor=3.0).normaliser(Step(torch.tensor(2.5))) == 7.5


@pytest.mark.parametrize(
    ("option", "value"), [("topk", 0), ("threshold", 0.0), ("cap", 1.5), ("iou_weight", -0.1)]
)
def test_bad_options(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{option}={value} must"):
        TopKByScore(**{option: value})


def test_numbers_of_pairs_at_queries() -> None:
    pairs = Pairs(torch.tensor([[[[2, 0], [0, BACKGROUND]]]]), torch.tensor([[[1, BACKGROUND, 0]]]))
    values = torch.tensor([[[[0.2, 0.3], [0.4, 0.5]]]])
    assert pairs.at_queries(values).tolist() == [[pytest.approx([0.4, 0, 0.2])]]


@pytest.mark.parametrize(("size", "most"), [(3, 1), (4, 1), (8, 2), (0, 0)])
def test_one_positive_counts_however_few_the_queries_are(size: int, most: int) -> None:
    assert int(TopKByScore(cap=0.25).keep(torch.ones(size, dtype=torch.bool)).sum()) == most
