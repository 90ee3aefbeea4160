import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hdetr_d2.engine.validation_loss import ValidationLoss, validation_losses
from hdetr_d2.errors import UserError


def losses(model: nn.Module, batches: list) -> dict[str, float]:
    return validation_losses(model, batches, 0.5, nullcontext)


class Counted(nn.Module):
    """Its loss is the number of its images, divided by the objects; a layer tells its mode."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Dropout(0.5)
        self.weight = nn.Parameter(torch.ones(()))
        self.seen: list[tuple] = []

    def forward(self, batch: list[dict], step: Any) -> dict[str, torch.Tensor]:
        self.seen.append((self.training, self.inner.training, step.progress, torch.rand(()).item()))
        return {"loss_class": self.weight * len(batch) / step.ground_truths, "loss_x": self.weight}


def test_a_batch_counts_by_its_objects(make_item: Any) -> None:
    model = Counted()
    model.inner.eval()  # and the model is in training: both stay
    batches = [[make_item(0, 3), make_item(1, 1)], [make_item(2, 2)]]
    before = torch.random.get_rng_state()
    found = losses(model, batches)
    assert found == pytest.approx({"loss_class": (2 + 1) / 6, "loss_x": 1, "total_loss": 1.5})
    assert torch.equal(torch.random.get_rng_state(), before)
    assert [seen[:3] for seen in model.seen] == [(True, False, 0.5)] * 2
    assert model.training and not model.inner.training and model.weight.grad is None
    losses(model, batches)
    assert model.seen[:2] == model.seen[2:]  # the same random numbers


def test_images_without_objects_and_no_images(make_item: Any) -> None:
    assert losses(Counted(), []) == {}
    found = losses(Counted(), [[make_item(0, 0)], [make_item(1, 1)]])
    assert found["loss_x"] == 1


def test_processes_have_the_losses_of_one(run_twice: Any, tmp_path: Path) -> None:
    run_twice(Path(__file__).with_name("two_processes_validation.py"), tmp_path)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first == second
    unequal, one_has_none, nobody_has_any, detector = first
    wanted = {"loss_class": 1.0, "loss_mean": 1.0, "loss_second": 2 / 22, "total_loss": 23 / 11}
    assert unequal == pytest.approx(wanted)
    assert one_has_none == pytest.approx({"loss_class": 1.0, "loss_mean": 1.0, "total_loss": 2.0})
    assert nobody_has_any == {}
    together, alone = detector
    assert together == pytest.approx(alone) and len(alone) > 5


def test_the_hook_asks_when_it_is_due(make_trainer: Any) -> None:
    asked: list[float] = []

    def give(progress: float) -> dict[str, float]:
        asked.append(progress)
        return {"total_loss": 7.0}

    trainer = make_trainer()
    trainer.register_hooks([ValidationLoss(give, period=2), ValidationLoss(give, period=0)])
    trainer.train(0, 5)
    assert asked == [0.4, 0.8, 1.0]
    assert trainer.storage.latest()["validation/total_loss"] == (7.0, 4)


def test_a_detector_has_the_losses_that_training_would_see(
    tiny_model: Any, make_batch: Any
) -> None:
    model = tiny_model()
    batch = make_batch([2, 0])
    model.eval()
    model.training = True
    torch.manual_seed(0)
    with torch.no_grad():
        expected = model(batch)
    found = losses(model, [batch])
    assert expected and all(found[name] == pytest.approx(float(v)) for name, v in expected.items())


def test_what_a_teacher_has_not_seen_has_the_other_losses(
    tiny_model: Any, make_batch: Any, small_schemes: dict[str, Any]
) -> None:
    plain, taught = tiny_model(schemes=[]), tiny_model(schemes=[small_schemes["teach_detr"]])
    batch = make_batch([2, 1])
    assert "loss_class_teacher" in losses(taught, [batch])  # dataloader.test.mapper has one, too
    unseen = [{key: value for key, value in item.items() if key != "teacher"} for item in batch]
    assert losses(taught, [unseen]) == losses(plain, [unseen])
    # Of one image alone they would be those of a part of the batch.
    with pytest.raises(UserError, match=r"^image 1 has no boxes of a teacher"):
        losses(taught, [[batch[0], unseen[1]]])
    with pytest.raises(UserError, match=r"^image 0 has no boxes of a teacher"):
        taught(unseen)
