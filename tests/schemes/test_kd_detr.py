"""KD-DETR's queries, which two decoders answer."""

from contextlib import nullcontext

import pytest
import torch

from hdetr_d2.engine.validation_loss import validation_losses
from hdetr_d2.schemes import KDDETR
from hdetr_d2.structures import Answers

MODELS = [
    "common/models/deformable_detr.py",
    "common/models/deformable_detr_pp.py",
    "common/models/dino.py",
    "common/models/detr.py",
]


@pytest.fixture
def student(tiny_model, small_schemes):
    """`student(path)`: a model whose teacher has the weights that it starts with."""
    return lambda path=MODELS[1]: tiny_model(path, schemes=[small_schemes["kd_detr"]])


@torch.no_grad()
def move(model: torch.nn.Module) -> None:
    """Away from where it started, where boxes are those of the references."""
    for parameter in model.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))


@pytest.mark.parametrize("path", MODELS)
def test_who_is_the_teacher_has_nothing_to_learn(student, tiny_model, make_batch, path) -> None:
    model, twin = student(path), tiny_model(path, schemes=[])
    move(model)
    twin.load_state_dict(model.state_dict())
    model.schemes[0].teacher.build = lambda device: twin
    model.eval()  # no dropout
    model.training = True
    losses = {name: loss for name, loss in model(make_batch([2, 1])).items() if "disti" in name}
    ends = [f"{group}{layer}" for group in ("", "_random") for layer in ("", "_0", "_1")]
    kinds = ("class", "bbox", "giou")
    assert set(losses) == {f"loss_{kind}_distilled{end}" for kind in kinds for end in ends}
    for name, loss in losses.items():
        if name.endswith(("_0", "_1")):  # they learn what the last one says
            assert loss > 0
        else:
            assert loss.item() == pytest.approx(0, abs=1e-4)


def test_a_query_counts_as_far_as_its_answer_is_of_an_object(
    student, make_batch, train_step
) -> None:
    model = student()
    move(model)
    losses, groups = train_step(model, make_batch([2, 0]))
    for name, number in (("distilled", 12), ("distilled_random", 8)):
        output, answers = groups[name]
        assert isinstance(answers, Answers)
        assert answers.weights.shape == (2, number)
        assert torch.equal(answers.weights, answers.scores.max(-1).values)
        distance = (output.predictions.boxes[-1] - answers.boxes).abs().sum(-1)
        total = (distance * answers.weights).sum() / max(1, answers.weights.sum())
        torch.testing.assert_close(losses[f"loss_bbox_{name}"], 5 * total)
        assert losses[f"loss_bbox_{name}"] > 0


def test_places_are_drawn_anew_in_every_step(student, make_batch) -> None:
    model, seen = student(), []
    with model.decoder.register_forward_pre_hook(lambda _, args: seen.append(args[0])):
        torch.manual_seed(1)
        model(make_batch([2, 1]))
        model(make_batch([2, 1]))
        torch.manual_seed(1)
        model(make_batch([2, 1]))
    first, second, again = ([group.queries for group in groups[1:]] for groups in seen)
    assert torch.equal(first[0].content, second[0].content)  # the teacher's own
    for name in ("content", "position", "reference"):
        one, other, third = (getattr(queries[1], name) for queries in (first, second, again))
        assert not torch.equal(one, other) and torch.equal(one, third)
    assert ((first[1].reference >= 0) & (first[1].reference <= 1)).all()
    assert first[1].reference.std() > 0.2


def test_the_losses_of_the_truth_stay(student, tiny_model, make_batch) -> None:
    plain, taught = tiny_model(schemes=[]), student()
    assert set(taught.state_dict()) == set(plain.state_dict())
    batch = make_batch([2, 1])
    before, losses = plain(batch), taught(batch)
    assert {name: losses[name] for name in before} == before


def test_it_has_losses_on_validation_data(student, make_batch) -> None:
    model, batch = student(), make_batch([2, 1])
    one, other = (validation_losses(model, [batch], 0.0, nullcontext) for _ in range(2))
    assert one == other and "loss_bbox_distilled_random_0" in one


def test_there_are_random_queries(student) -> None:
    with pytest.raises(ValueError, match="num_random=0 must be at least 1"):
        KDDETR(teacher=student().schemes[0].teacher, num_classes=3, num_random=0)
