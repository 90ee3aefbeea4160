"""Numbers that change with the training, by hand."""

import pytest

from hdetr_d2.schemes import CosineRamp


def test_half_a_cosine_between_two_values():
    fall = CosineRamp(first=1.0, last=0.0, start=0.2, end=0.6)
    found = [fall(done) for done in (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0)]
    wave = 0.5 + 0.5 * 0.5**0.5  # of 45 degrees
    assert found == pytest.approx([1, 1, wave, 0.5, 1 - wave, 0, 0])


def test_a_jump():
    jump = CosineRamp(first=1.0, last=0.0, start=0.5, end=0.5)
    assert [jump(done) for done in (0.0, 0.49, 0.5, 1.0)] == [1, 1, 0, 0]


@pytest.mark.parametrize("wrong", [dict(start=-0.1), dict(start=0.6, end=0.5)])
def test_an_end_before_the_start(wrong: dict):
    with pytest.raises(ValueError, match="must be 0 <= start <= end"):
        CosineRamp(first=1.0, last=0.0, **wrong)
