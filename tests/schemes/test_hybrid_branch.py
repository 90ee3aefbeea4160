"""The hybrid branch: its group, and by what its losses are divided."""

import pytest
import torch

from hdetr_d2.schemes import HybridBranch
from hdetr_d2.structures import Match, QueryGroup, Step

NODE = {
    "_target_": "hdetr_d2.schemes.HybridBranch",
    "num_queries": 20,
    "repeats": 6,
    "weight": 0.5,
}


# 6 x 3 queries are there; 6 x 5 are not, and 6 x 5 still divides.
@pytest.mark.parametrize("counts", [[3, 1], [5, 2], [0, 2], [0, 0]])
def test_a_target_takes_six_queries_of_every_layer(
    tiny_model, make_batch, train_step, summed_distances, counts
):
    losses, groups = train_step(tiny_model(schemes=[NODE]), make_batch(counts))
    assert list(groups) == ["", "one2many", "enc"]
    found = (groups["one2many"].assignment >= 0).sum(-1)
    assert found.tolist() == [[min(6 * count, 20) for count in counts]] * 3
    assert (groups[""].assignment >= 0).sum(-1).tolist() == [counts] * 3
    for layer, distance in zip(["_0", "_1", ""], summed_distances(groups["one2many"]), strict=True):
        expected = 0.5 * 5 * distance / max(1, 6 * sum(counts))
        loss = losses[f"loss_bbox_one2many{layer}"].item()
        assert loss == pytest.approx(expected, rel=1e-5)


def test_the_main_losses_do_not_change(tiny_model, make_batch):
    plain, hybrid = tiny_model(schemes=[]), tiny_model(schemes=[NODE])
    hybrid.load_state_dict(plain.state_dict(), strict=False)
    with_branch = hybrid(make_batch([3, 1]))
    for name, loss in plain(make_batch([3, 1])).items():
        assert with_branch[name].item() == pytest.approx(loss.item(), rel=1e-5)


def test_the_proposals_behind_the_main_ones_are_taken(tiny_model, make_batch, train_step):
    model = tiny_model(schemes=[NODE], decoder__look_forward_twice=False)
    _, groups = train_step(model, make_batch([1, 1]))
    boxes = groups["enc"].output.predictions
    best = boxes.logits[0, ..., 0].topk(32, dim=1).indices[:, 12:, None].expand(-1, -1, 4)
    # A new model moves no box.
    first = groups["one2many"].output.predictions.boxes[0]
    assert (first - boxes.boxes[0].gather(1, best)).abs().max() < 1e-4


@pytest.mark.parametrize("recipe", ["deformable_detr_two_stage.py", "detr.py"])
def test_queries_alone_do_not_know_of_each_other(tiny_model, make_batch, recipe):
    model = tiny_model(f"common/models/{recipe}", encoder__sizes__dropout=0.0)
    memory = model.encode([item["image"] for item in make_batch([1, 2])]).memory
    queries = model.query_selection(memory).main
    changed = queries.map(lambda part: torch.cat([part[:, :1] + 0.1, part[:, 1:]], 1))

    def states(queries, alone):
        assigner = Match((2,) * model.decoder.num_layers)
        group = QueryGroup(name="branch", queries=queries, assigner=assigner, alone=alone)
        (predictions,) = model.decoder([group], memory)
        return predictions.states

    moved = [
        (states(queries, alone) - states(changed, alone)).abs().amax((0, 2)) > 1e-6
        for alone in (True, False)
    ]
    assert moved[0].tolist() == [True] + [False] * (len(moved[0]) - 1)
    assert moved[1].all()


def test_a_branch_of_queries_alone(tiny_model, make_batch, train_step):
    _, groups = train_step(tiny_model(schemes=[{**NODE, "alone": True}]), make_batch([3, 1]))
    branch = groups["one2many"]
    assert branch.output.group.alone and branch.output.group.layout == (20, 1)
    assert (branch.assignment >= 0).sum(-1).tolist() == [[18, 6]] * 3


def test_it_learns_on_a_decoder_without_references(tiny_model, make_batch):
    model = tiny_model(
        "common/models/detr.py", schemes=[NODE], encoder__sizes__dropout=0.0, neck__out_channels=64
    )
    batch, totals = make_batch([2, 1]), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(30):
        losses = model(batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        totals.append([losses[name].item() for name in ("loss_bbox", "loss_bbox_one2many")])
    assert all(last < 0.6 * first for first, last in zip(totals[0], totals[-1], strict=True))


@pytest.mark.parametrize("options", [{"num_queries": 0}, {"repeats": 0}])
def test_numbers_that_cannot_be(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}=0 must be at least 1"):
        HybridBranch(**{"num_queries": 5, "repeats": 2, **options})


@pytest.mark.parametrize(("progress", "weight"), [(0.0, 1.0), (0.25, 0.5), (0.5, 0.0), (1.0, 0.0)])
def test_a_weight_that_falls(tiny_model, make_batch, progress, weight):
    fall = {"_target_": "hdetr_d2.schemes.CosineRamp", "first": 1.0, "last": 0.0, "end": 0.5}
    batch = make_batch([3, 1])
    step = Step(ground_truths=torch.tensor(4.0), progress=progress)
    constant, falling = (
        tiny_model(schemes=[{**NODE, "weight": weight}])(batch, step) for weight in (1.0, fall)
    )
    for name, loss in falling.items():
        factor = weight if "one2many" in name else 1.0
        assert loss.item() == pytest.approx(factor * constant[name].item(), rel=1e-5)
