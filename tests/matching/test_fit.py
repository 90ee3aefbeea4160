"""How well predictions fit targets, of all pairs and of some."""

import torch

from hdetr_d2.matching import Ranked, TopKByScore, ranked
from hdetr_d2.matching.fit import Fit
from hdetr_d2.structures import Group, GroupOutput, Predictions, Targets


def output() -> GroupOutput:
    """Of two layers, two images, five queries and three classes, with two targets each."""
    targets = Targets(
        torch.tensor([[2, 0], [1, 1]]),
        torch.rand(2, 2, 4) * 0.4 + 0.2,
        torch.ones(2, 2, dtype=torch.bool),
    )
    predictions = Predictions(torch.randn(2, 2, 5, 3), torch.rand(2, 2, 5, 4) * 0.4 + 0.2)
    return GroupOutput(Group(name="", assigner=TopKByScore()), predictions, targets)


def test_pairs_fit_as_they_do_among_all() -> None:
    given = output()
    queries = torch.randint(5, (2, 2, 2, 3))
    every, some = Fit.of(given, torch.sigmoid), Fit.of_pairs(given, torch.sigmoid, queries)
    assert torch.equal(some.iou, every.iou.gather(3, queries))
    assert torch.equal(some.scores, every.scores.gather(3, queries))
    query = int(queries[1, 0, 1, 2])
    assert some.scores[1, 0, 1, 2] == given.predictions.logits[1, 0, query, 0].sigmoid()


def test_no_target_gives_no_pair() -> None:
    given = output()
    given.targets.valid[:] = False
    empty = torch.zeros(2, 2, 2, 0, dtype=torch.int64)
    assert Fit.of_pairs(given, torch.sigmoid, empty).iou.shape == (2, 2, 2, 0)


def test_ranks_look_at_the_pairs_alone(monkeypatch) -> None:
    """All pairs are those of every query with every target: measured once is enough."""
    asked = []

    def measure(*args: object) -> Fit:
        asked.append(args[2].shape)
        return Fit.of_pairs(*args)

    monkeypatch.setattr(ranked, "Fit", type("Only", (), {"of_pairs": staticmethod(measure)}))
    rule = Ranked(assigner=TopKByScore(topk=2, cap=1.0), normaliser_factor=None)
    rule.assign(output(), torch.sigmoid, None)
    assert asked == [(2, 2, 2, 2)]
