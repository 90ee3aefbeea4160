import pytest
import torch
from torch import nn

from hdetr_d2.engine.ema import ModelEma
from hdetr_d2.errors import UserError


def constant(value: float) -> nn.Module:
    model = nn.BatchNorm1d(2)
    with torch.no_grad():
        model.weight.fill_(value)
        model.bias.fill_(-value)
        model.running_mean.fill_(value)
        model.num_batches_tracked.fill_(int(value))
    return model


def test_the_first_update_copies_and_the_decay_grows() -> None:
    model = constant(0)
    ema = ModelEma(model, decay=0.9)
    ema.update_parameters(constant(10))
    assert ema.module.weight.tolist() == [10, 10]
    ema.update_parameters(constant(21))  # decay 2 / 11
    assert ema.module.weight.tolist() == pytest.approx([19, 19])
    assert ema.module.running_mean.tolist() == pytest.approx([19, 19])
    assert ema.module.num_batches_tracked.item() == 21
    assert model.weight.tolist() == [0, 0]


def test_the_decay_does_not_grow_beyond_its_bound() -> None:
    ema = ModelEma(constant(0), decay=0.5)
    ema.n_averaged.fill_(1000)
    ema.update_parameters(constant(4))
    assert ema.module.weight.tolist() == [2, 2]


def test_the_number_of_updates_is_saved() -> None:
    ema, other = ModelEma(constant(0), decay=0.9), ModelEma(constant(0), decay=0.9)
    for value in (1, 5):
        ema.update_parameters(constant(value))
    other.load_state_dict(ema.state_dict())
    for each in (ema, other):
        each.update_parameters(constant(7))
    assert torch.equal(ema.module.weight, other.module.weight)


@pytest.mark.parametrize("decay", [0, 1, 1.5])
def test_a_decay_that_is_none_is_a_sentence(decay: float) -> None:
    with pytest.raises(UserError, match=r"train.ema.decay"):
        ModelEma(constant(0), decay=decay)
