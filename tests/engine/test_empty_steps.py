"""A training that finds nothing to learn ends; one that finds something goes on."""

from pathlib import Path
from typing import Any

import pytest

from hdetr_d2.errors import UserError


@pytest.fixture
def train(make_trainer: Any, make_item: Any) -> Any:
    """`train([0, 2], most=3)`: a step on two images for each number, one of them with so many
    objects.
    """

    def run(counts: list[int], most: int, start: int = 0) -> None:
        batches = [[make_item(1, 0), make_item(2, count)] for count in counts]
        trainer = make_trainer(max_empty_steps=most, make_loader=lambda start: iter(batches))
        trainer.train(start, start + len(counts))

    return run


def test_a_run_without_objects_stops_at_the_stated_step(train: Any) -> None:
    with pytest.raises(UserError, match=r"^no object in 3 steps \(6 images\): ") as error:
        train([0] * 9, most=3)
    assert "\n" not in str(error.value)


def test_a_short_run_without_objects_stops_at_its_end(train: Any) -> None:
    with pytest.raises(UserError, match=r"^no object in 2 steps \(4 images\): "):
        train([0, 0], most=3)


def test_empty_steps_after_or_before_an_object_are_fine(train: Any) -> None:
    train([0, 0, 1, 0, 0, 0, 0, 0], most=3)
    train([1, 0, 0, 0, 0], most=3)


def test_the_rest_of_a_run_that_goes_on_may_be_empty(train: Any) -> None:
    train([0, 0], most=3, start=5)
    with pytest.raises(UserError, match="no object in 3 steps"):
        train([0] * 4, most=3, start=5)


def test_two_processes_agree(run_twice: Any, tmp_path: Path) -> None:
    run_twice(Path(__file__).with_name("two_processes_empty.py"), tmp_path)
    first, second = ((tmp_path / f"{rank}.txt").read_text() for rank in range(2))
    assert first == second
    one_has_objects, none_has = first.splitlines()
    assert one_has_objects == "4 steps"
    assert none_has.startswith("no object in 3 steps (6 images): ")
