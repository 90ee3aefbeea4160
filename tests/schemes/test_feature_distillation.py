"""The distance of an encoder's level from a teacher's map, by hand."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from hdetr_d2.errors import MisfitError
from hdetr_d2.schemes import FeatureDistillation
from hdetr_d2.structures import Memory
from hdetr_d2.teachers import TimmTeacher


class Says:
    """A teacher that says what it was told to."""

    def __init__(self, answer: Tensor) -> None:
        self.answer = answer

    def __call__(self, inputs: object, size: object, device: object) -> Tensor:
        self.asked = (inputs, size)
        return self.answer


def distance(tokens: Tensor, padding: Tensor, answer: Tensor, **options: object) -> Tensor:
    """The loss of tokens [B, 4, 2] as a level of 2 x 2, behind another level of one token."""
    scheme = FeatureDistillation(teacher=Says(answer), dim=2, teacher_dim=2, **options)
    with torch.no_grad():
        scheme.projector.weight.copy_(torch.eye(2))
        scheme.projector.bias.zero_()
    front = torch.full((len(tokens), 1, 2), 9.0)
    memory = Memory(
        torch.cat([front, tokens], 1),
        torch.cat([padding[:, :1], padding], 1),
        ((1, 1), (2, 2)),
        torch.ones(len(tokens), 2, 2),
    )
    maps = SimpleNamespace(memory=memory, size=(64, 64))
    losses = scheme.contribute(SimpleNamespace(inputs=["images"], maps=maps)).losses
    assert scheme.teacher.asked == (["images"], (64, 64))
    assert list(losses) == ["loss_features"]
    return losses["loss_features"].detach()


TOKENS = torch.tensor([[[1.0, 0], [0, 2], [3, 3], [5, 5]]])
PADDING = torch.tensor([[False, False, False, True]])


def test_the_mean_over_tokens_that_are_no_padding() -> None:
    # Row by row (1, 0), (1, 0), (0, -1): cosines 1, 0 and -sqrt(1/2). The last does not count.
    answer = torch.tensor([[[[1.0, 1], [0, 7]], [[0, 0], [-1, 7]]]])
    loss = distance(TOKENS, PADDING, answer, weight=3.0)
    assert float(loss) == pytest.approx((0 + 1 + 1 + 0.5**0.5) / 3 * 3)


def test_a_map_of_another_size_is_resized() -> None:
    answer = torch.tensor([0.0, 1.0])[None, :, None, None].expand(1, 2, 5, 3)
    loss = distance(TOKENS, PADDING, answer, weight=1.0)
    assert float(loss) == pytest.approx((1 + 0 + 1 - 0.5**0.5) / 3)


def test_nothing_but_padding_is_no_loss() -> None:
    assert distance(TOKENS, torch.ones(1, 4, dtype=torch.bool), torch.ones(1, 2, 2, 2)) == 0


def test_other_channels_are_named() -> None:
    with pytest.raises(MisfitError, match="teacher_dim=2, but the teacher's map has 3 channels"):
        distance(TOKENS, PADDING, torch.ones(1, 3, 2, 2))


def test_the_teacher_is_no_part_of_the_model(tiny_model, make_batch) -> None:
    teacher = TimmTeacher("test_resnet", feature="res5", pretrained=False, shrink=2)
    model = tiny_model(schemes=[])
    model.schemes.append(FeatureDistillation(teacher=teacher, dim=32, teacher_dim=96))
    keys, batch = set(model.state_dict()), make_batch([1, 0])
    losses = model(batch)
    eye = teacher.net(torch.device("cpu"))
    before = {name: value.clone() for name, value in eye.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        losses["loss_features"].backward()
        optimizer.step()
        losses = model(batch)
    assert all(torch.equal(value, before[name]) for name, value in eye.state_dict().items())
    assert not eye.training and not any(p.requires_grad for p in eye.parameters())
    assert set(model.state_dict()) == keys
    assert keys >= {"schemes.0.projector.weight"}
    assert copy.deepcopy(model).schemes[0].teacher._net is None
    # The images have 64 x 96 pixels, half of which the teacher sees.
    assert teacher(batch, (64, 96), torch.device("cpu")).shape == (2, 96, 1, 2)
    wide = teacher(batch, (64, 192), torch.device("cpu"))
    assert wide.shape == (2, 96, 1, 3)


def test_making_the_teacher_draws_nothing_from_the_step() -> None:
    before = torch.get_rng_state()
    one, two = (
        TimmTeacher("test_resnet", feature="res5", pretrained=False).net(torch.device("cpu"))
        for _ in range(2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, one.parameters(), two.parameters()))
