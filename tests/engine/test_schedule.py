import pytest

from hdetr_d2.engine.schedule import CosineDecay, StepDecay
from hdetr_d2.errors import UserError


def test_steps_fall_at_the_first_iteration_of_an_epoch() -> None:
    schedule = StepDecay(epochs=12, milestones=[8, 11], factor=0.1)
    rates = [schedule(iteration / 1200) for iteration in range(1200)]
    assert rates[:800] == [1.0] * 800
    assert rates[800:1100] == pytest.approx([0.1] * 300)
    assert rates[1100:] == pytest.approx([0.01] * 100)


def test_the_warm_up_is_a_line_from_zero() -> None:
    schedule = StepDecay(epochs=10, milestones=[], warmup_epochs=2)
    assert [schedule(w) for w in (0.0, 0.05, 0.1, 0.2, 0.9)] == pytest.approx(
        [0, 0.25, 0.5, 1, 1], abs=1e-4
    )


def test_the_cosine_ends_at_its_final_value() -> None:
    schedule = CosineDecay(epochs=4, final=0.2)
    assert [schedule(w) for w in (0.0, 0.5, 1.0)] == pytest.approx([1, 0.6, 0.2], abs=1e-4)


@pytest.mark.parametrize("milestones", [[11], [0], [2, 5]])
def test_a_milestone_outside_the_training_is_a_sentence(milestones: list[int]) -> None:
    with pytest.raises(UserError, match=r"does not lie between 0 and train.epochs=5"):
        StepDecay(epochs=5, milestones=milestones)


def test_a_warm_up_that_never_ends_is_a_sentence() -> None:
    with pytest.raises(UserError, match="warmup_epochs=3"):
        CosineDecay(epochs=3, warmup_epochs=3)
