"""In which part of a training something happens, and how often."""

import pytest

from hdetr_d2.data.during import During
from hdetr_d2.utils.random_state import seeded


def always(**options: float) -> During:
    settings = {"p": 1.0, "start": 0.25, "end": 0.75, "max_iter": 8, "total_batch_size": 3}
    return During(**{**settings, **options})


def test_all_images_of_the_steps_in_between() -> None:
    when = always()
    assert [position for position in range(24) if when(position)] == [*range(6, 18)]


def test_start_and_end_may_be_in_epochs() -> None:
    # 3 steps an epoch; 0.1 * 30 is a little more than 3.
    assert always(start=1, end=3, epochs=4, max_iter=12).steps == range(3, 9)
    assert always(start=0.1, end=0.3, max_iter=30).steps == range(3, 9)


def test_it_happens_as_often_as_it_says() -> None:
    with seeded(0):
        assert not any(always(p=0.0)(9) for _ in range(100))
        assert 350 < sum(always(p=0.4)(9) for _ in range(1000)) < 450


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"start": 4, "end": 34, "epochs": 24},
            "from start=4 to end=34 is no part",
        ),
        ({"start": 0.5, "end": 0.5}, "from start=0.5 to end=0.5 is no part"),
        ({"p": 1.5}, "p=1.5 is not a probability"),
    ],
)
def test_what_cannot_be_is_named(options: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        always(**options)
