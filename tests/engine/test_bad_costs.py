"""Matching costs that are not finite: what is counted, said and done, with counts set by hand."""

import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hdetr_d2.engine import bad_costs
from hdetr_d2.errors import UserError
from hdetr_d2.structures import Step
from hdetr_d2.utils.observation import observe

CPU = torch.device("cpu")


def counts(layers: int, images: int, **bad: int) -> Tensor:
    """`Tensor[L, B, 3]` with `bad` entries: `l1_b0_t2=7` is layer 1, image 0, term 2."""
    tensor = torch.zeros(layers, images, 3, dtype=torch.int64)
    for place, value in bad.items():
        tensor[tuple(int(part[1:]) for part in place.split("_"))] = value
    return tensor


OBSERVED = {
    "matching/nonfinite/main": counts(3, 2, l0_b1_t0=4, l2_b1_t2=1, l2_b1_t0=2),
    "matching/nonfinite/one2many": counts(3, 2),
    "matching/nonfinite/enc": counts(1, 2, l0_b0_t1=30),
    "something/else": torch.ones(()),
}


def test_the_counts_of_all_groups_and_layers() -> None:
    assert bad_costs.METRICS == (
        "matching/nonfinite_class",
        "matching/nonfinite_bbox",
        "matching/nonfinite_giou",
    )
    assert bad_costs.count(OBSERVED, CPU).tolist() == [6, 30, 1]
    assert bad_costs.count({}, CPU).tolist() == [0, 0, 0]


def test_the_places_and_their_words() -> None:
    places = bad_costs.find(OBSERVED, [17, "cat.jpg"])
    assert sorted(places, key=str) == [
        ("enc", "bbox", 0, 17),
        ("main", "class", 0, "cat.jpg"),
        ("main", "class", 2, "cat.jpg"),
        ("main", "giou", 2, "cat.jpg"),
    ]
    assert bad_costs.in_words(places) == (
        "class and GIoU of main in layers 0, 2; L1 of enc in layer 0"
    )


@pytest.mark.parametrize(("bad", "gradient"), [(0, 3.0), (5, math.nan)])
def test_the_gradient_of_a_spoiled_loss(bad: int, gradient: float) -> None:
    weight = torch.ones((), requires_grad=True)
    bad_costs.spoil(3 * weight, torch.tensor([0, bad, 0])).backward()
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(gradient, nan_ok=True)


@pytest.fixture
def make_observing(make_toy: Any) -> Any:
    """A detector that observes a bad L1 cost for every image of the number 77."""

    class Observing(make_toy):
        def forward(self, batch: list[dict], step: Step) -> dict:
            bad = torch.tensor([item["image_id"] == 77 for item in batch])
            per_image = torch.stack([torch.zeros(len(bad)), 3.0 * bad, torch.zeros(len(bad))], -1)
            observe("matching/nonfinite/one2many", torch.stack([0 * per_image, per_image]))
            return super().forward(batch, step)

    return Observing


def test_such_a_step_changes_nothing_although_its_loss_is_finite(
    make_trainer: Any, make_observing: Any, make_item: Any, caplog: Any
) -> None:
    model = make_observing()
    before = [p.clone() for p in model.parameters()]
    batches = [[make_item(5, 2)], [make_item(6, 1), make_item(77, 1)]]
    trainer = make_trainer(model=model, accumulate=2, make_loader=lambda start: iter(batches))
    with caplog.at_level(logging.WARNING, "hdetr_d2"):
        trainer.train(0, 1)
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
    assert "Iteration 0 is not finite" in caplog.text
    assert "matching costs: L1 of one2many in layer 1) on the images [77]" in caplog.text
    assert trainer.storage.history("matching/nonfinite_bbox").latest() == 3
    assert trainer.storage.history("matching/nonfinite_class").latest() == 0
    assert "total_loss" not in trainer.storage.histories()


def test_too_many_end_the_training_in_one_sentence(
    make_trainer: Any, make_observing: Any, make_item: Any
) -> None:
    good, bad = [make_item(5, 2)], [make_item(77, 2), make_item(5, 2)]
    trainer = make_trainer(
        model=make_observing(),
        max_bad_steps=2,
        make_loader=lambda start: iter([bad, good, bad, bad]),
    )
    wanted = (
        r"^2 steps in a row .* iteration 3 \(.*L1 of one2many in layer 1\) on the images \[77\]: "
    )
    with pytest.raises(UserError, match=wanted) as error:
        trainer.train(0, 4)
    assert "\n" not in str(error.value)


def test_a_detector_names_its_groups_and_the_image(
    make_trainer: Any, tiny_model: Any, make_batch: Any
) -> None:
    batch = [{**item, "image": item["image"].float()} for item in make_batch([2, 1, 1])]
    batch[1]["image"][:] = math.nan
    model = tiny_model("common/models/deformable_detr_two_stage.py")
    trainer = make_trainer(model=model, max_bad_steps=1, make_loader=lambda start: iter([batch]))
    wanted = (
        r"loss_class_enc=nan.* matching costs: class, L1 and GIoU of main in layers 0, 1, 2; "
        r"class, L1 and GIoU of enc in layer 0\) on the images \[1\]: "
    )
    with pytest.raises(UserError, match=wanted):
        trainer.train(0, 1)


def test_all_processes_end_together_and_name_the_image_of_one(
    run_twice: Any, tmp_path: Path
) -> None:
    run_twice(Path(__file__).with_name("two_processes_bad_costs.py"), tmp_path)
    first, second = ((tmp_path / f"{rank}.txt").read_text() for rank in range(2))
    assert first == second
    assert first.startswith(
        "3.0 skipped, 1.0 2 steps in a row were not finite, the last at iteration 1 ("
    )
    assert "class of main in layer 0) in process 1 of 2 on the images [77]" in first
