"""What a trained detector answers to queries: those that it has itself, and others."""

from dataclasses import replace

import pytest
import torch

from hdetr_d2.errors import UserError
from hdetr_d2.structures import Match, Queries, QueryGroup
from hdetr_d2.teachers import DecoderTeacher

FRAMES = [(64, 96)] * 2
MODELS = [
    "common/models/deformable_detr.py",
    "common/models/deformable_detr_pp.py",
    "common/models/dino.py",
    "common/models/detr.py",
]


@pytest.fixture
def asked_model(tiny_model, monkeypatch):
    """`asked_model(path)`: a teacher, and the model in memory that is its checkpoint."""

    def make(path: str = MODELS[1]) -> tuple[DecoderTeacher, torch.nn.Module]:
        model = tiny_model(path).train()
        teacher = DecoderTeacher("teacher.pth")
        monkeypatch.setattr(teacher, "build", lambda device: model)
        return teacher, model

    return make


def others_for(model: torch.nn.Module, boxes: torch.Tensor) -> Queries:
    """Queries of the model's kind at boxes."""
    reference = model.query_selection(memory_of_nothing(model)).main.reference
    places = None if reference is None else boxes[..., : reference.shape[-1]]
    content = torch.randn(*boxes.shape[:2], 32)
    return Queries(content, model.query_selection.embed_boxes(boxes), places)


def memory_of_nothing(model: torch.nn.Module):
    with torch.no_grad():
        return model.encode([torch.zeros(3, 64, 96)] * 2).memory


@pytest.mark.parametrize("path", MODELS)
@torch.no_grad()
def test_its_answers_are_its_predictions(asked_model, make_batch, path) -> None:
    teacher, model = asked_model(path)
    batch, boxes = make_batch([2, 1]), torch.rand(2, 5, 4)
    others = others_for(model, boxes)
    # A student would place them elsewhere.
    position = None if others.position is None else torch.zeros_like(others.position)
    own, further = teacher(batch, FRAMES, 3, replace(others, position=position), boxes)
    assert not model.training
    memory = model.encode([item["image"] for item in batch]).memory
    queries, predictions = model.query_selection(memory).main, model.predict(memory)
    group = QueryGroup(name="alone", queries=others, assigner=Match((1,)))
    alone = model.decoder([group], memory)[0]
    for asked, given, found in ((own, queries, predictions), (further, others, alone)):
        for name in ("content", "position", "reference"):
            part, wanted = getattr(asked.queries, name), getattr(given, name)
            assert part is None if wanted is None else torch.equal(part, wanted)
        torch.testing.assert_close(asked.scores, model.scores(found))
        torch.testing.assert_close(asked.boxes, found.boxes[-1])


def test_nothing_is_learned_and_no_number_drawn(asked_model, make_batch) -> None:
    teacher, model = asked_model()
    boxes = torch.rand(2, 5, 4)
    others = others_for(model, boxes)
    before = torch.get_rng_state()
    for asked in teacher(make_batch([2, 1]), FRAMES, 3, others, boxes):
        parts = (asked.scores, asked.boxes, asked.queries.content, asked.queries.position)
        assert not any(part.requires_grad for part in parts)
    assert torch.equal(torch.get_rng_state(), before)


@torch.no_grad()
def test_boxes_and_references_are_relative_to_the_frames_of_the_student(
    asked_model, make_batch
) -> None:
    teacher, model = asked_model()
    batch, boxes = make_batch([2, 1]), torch.rand(2, 5, 4) * 0.4 + 0.05
    ratios = torch.tensor([[[1, 0.5, 1, 0.5]], [[2, 1, 2, 1.0]]])
    wide = [(128, 96), (64, 48)]  # the second one is half as wide as the image
    plain = teacher(batch, FRAMES, 3, others_for(model, boxes), boxes)
    placed = others_for(model, boxes * ratios)
    placed.content = plain[1].queries.content
    seen = teacher(batch, wide, 3, placed, boxes * ratios)
    for one, other in zip(plain, seen, strict=True):
        torch.testing.assert_close(other.scores, one.scores)
        torch.testing.assert_close(other.boxes, one.boxes * ratios)
        reference = (one.queries.reference * ratios).clamp(max=1)
        torch.testing.assert_close(other.queries.reference, reference)


def test_queries_of_another_kind_are_one_sentence(asked_model, make_batch) -> None:
    teacher, model = asked_model()
    boxes = torch.rand(2, 5, 4)
    others = others_for(model, boxes)
    for part, value, told in (
        ("content", others.content[..., :16], "16 channels, a position and a reference of 4"),
        ("position", None, "32 channels, no position and a reference of 4"),
        ("reference", None, "32 channels, a position and a reference of 0"),
    ):
        changed = replace(others, **{part: value})
        with pytest.raises(UserError, match=rf"teacher.pth have 32 .* student {told}"):
            teacher(make_batch([2, 1]), FRAMES, 3, changed, boxes)


def test_other_classes_are_one_sentence(asked_model, make_batch) -> None:
    teacher, model = asked_model()
    boxes = torch.rand(2, 5, 4)
    with pytest.raises(UserError, match=r"^the teacher teacher.pth knows 3 classes, but 5 are"):
        teacher(make_batch([2, 1]), FRAMES, 5, others_for(model, boxes), boxes)
