"""What teachers say: boxes that came with the images, and those of a trained detector."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from hdetr_d2.errors import UserError
from hdetr_d2.teachers import CarriedBoxes, DetectorTeacher
from hdetr_d2.teachers.frozen import Frozen

CPU = torch.device("cpu")
FRAMES = [(64, 96)] * 2


def test_carried_boxes_are_padded_and_relative_to_the_frames(make_batch) -> None:
    batch = make_batch([3, 1])
    lesson = CarriedBoxes()(batch, [(128, 96), (64, 96)], 3, CPU)
    assert lesson.targets.valid.tolist() == [[True, True], [False, False]]
    assert lesson.scores[0].tolist() == pytest.approx([0.9, 0.4])
    assert lesson.scores[1].tolist() == [0, 0]
    x0, y0, x1, y1 = batch[0]["teacher"].gt_boxes.tensor[0].tolist()
    wanted = [(x0 + x1) / 192, (y0 + y1) / 256, (x1 - x0) / 96, (y1 - y0) / 128]
    assert lesson.targets.boxes[0, 0].tolist() == pytest.approx(wanted)


def test_an_image_without_a_teachers_boxes_is_named(make_batch) -> None:
    batch = make_batch([1, 1])
    del batch[1]["teacher"]
    with pytest.raises(UserError, match=r"^image 1 has no boxes .*mapper\.teacher$"):
        CarriedBoxes()(batch, FRAMES, 3, CPU)


@pytest.fixture
def taught(tiny_model, monkeypatch) -> tuple[DetectorTeacher, torch.nn.Module]:
    """A teacher whose checkpoint is a model in memory."""
    model = tiny_model().train()
    teacher = DetectorTeacher("teacher.pth", num_boxes=7, threshold=0.0)

    class Opened:
        def __init__(self, *args: object) -> None:
            self.model = model

    monkeypatch.setattr("hdetr_d2.teachers.checkpointed.open_checkpoint", Opened)
    return teacher, model


def test_a_detector_gives_the_best_pairs_of_a_query_and_a_class(taught, make_batch) -> None:
    teacher, model = taught
    batch = make_batch([2, 1])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lesson = teacher(batch, FRAMES, 3, CPU)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert lesson.targets.valid.all() and not lesson.targets.boxes.requires_grad
    # Its detections, in pixels of images that are twice as large.
    for index, found in enumerate(model(batch)):
        instances = found["instances"]
        best = instances.scores.argsort(descending=True)[:7]
        assert torch.equal(lesson.targets.labels[index], instances.pred_classes[best])
        torch.testing.assert_close(lesson.scores[index], instances.scores[best])
        x0, y0, x1, y1 = instances.pred_boxes.tensor[best].unbind(1)
        cx, cy, w, h = lesson.targets.boxes[index].unbind(1)
        torch.testing.assert_close((cx - w / 2).clamp(min=0) * 192, x0)
        torch.testing.assert_close((cy + h / 2).clamp(max=1) * 128, y1)


def test_only_boxes_above_the_threshold_are_taught(taught, make_batch) -> None:
    teacher, _ = taught
    batch = make_batch([2, 1])
    all_scores = teacher(batch, FRAMES, 3, CPU).scores
    teacher.threshold = float(all_scores[0, 3])
    lesson = teacher(batch, FRAMES, 3, CPU)
    assert lesson.targets.counts.tolist() == (all_scores >= teacher.threshold).sum(1).tolist()
    assert lesson.targets.counts[0] == 4
    assert (lesson.scores == torch.where(lesson.targets.valid, all_scores, 0.0)).all()
    teacher.threshold = 1.1
    assert not teacher(batch, FRAMES, 3, CPU).targets.valid.any()


def test_boxes_are_relative_to_the_frames_of_the_student(taught, make_batch) -> None:
    teacher, _ = taught
    batch = make_batch([2, 1])
    plain, other = (
        teacher(batch, frames, 3, CPU).targets.boxes for frames in (FRAMES, [(128, 96), (64, 48)])
    )
    torch.testing.assert_close(other[0], plain[0] * torch.tensor([1, 0.5, 1, 0.5]))
    torch.testing.assert_close(other[1], plain[1] * torch.tensor([2, 1, 2, 1.0]))


def test_other_classes_are_one_sentence(taught, make_batch) -> None:
    with pytest.raises(UserError, match=r"^the teacher teacher.pth knows 3 classes, but 5 are"):
        taught[0](make_batch([1]), [(64, 96)], 5, CPU)


def test_a_checkpoint_that_is_not_there_is_one_sentence(make_batch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.pth"):
        DetectorTeacher(str(tmp_path / "none.pth"))(make_batch([1]), [(64, 96)], 3, CPU)


def test_to_make_a_teacher_draws_no_number_of_the_step() -> None:
    class Drawing(Frozen[torch.nn.Linear]):
        def build(self, device: torch.device) -> torch.nn.Linear:
            np.random.rand()
            random.random()
            return torch.nn.Linear(2, 2)

    before = torch.get_rng_state(), np.random.get_state()[2], random.getstate()
    one, other = (Drawing().net(CPU).weight for _ in range(2))
    assert torch.equal(one, other)
    after = torch.get_rng_state(), np.random.get_state()[2], random.getstate()
    assert torch.equal(after[0], before[0]) and after[1:] == before[1:]
