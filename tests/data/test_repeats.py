"""Images of rare classes come several times, by numbers worked out by hand."""

from itertools import islice

import numpy as np
import pytest

from hdetr_d2.data.repeats import drawn_images, epoch_size, repeat_factors
from hdetr_d2.data.sampler import StreamSampler, epoch_batches


def entry(*labels: int, crowds: tuple[int, ...] = ()) -> dict:
    objects = [{"category_id": label} for label in labels]
    return {"annotations": objects + [{"category_id": c, "iscrowd": 1} for c in crowds]}


def test_factors_worked_out_by_hand() -> None:
    # Of 8 images class 0 is in 8 - 1, class 1 in 2, class 2 in one; at 1/2 the factors are 1,
    # sqrt(0.5 / 0.25) and sqrt(0.5 / 0.125) = 2. A crowd and a second object count nothing.
    dicts = [entry(0, 0), entry(0, 1), entry(1, 2, 0), entry(crowds=(2,)), *[entry(0)] * 4]
    root = 2**0.5
    assert repeat_factors(dicts, 0.5).tolist() == pytest.approx([1, root, 2, 1, 1, 1, 1, 1])
    assert repeat_factors(dicts, None).tolist() == [1] * 8
    assert repeat_factors([{"file_name": "a.png"}], 0.5).tolist() == [1]


FACTORS = np.array([1.0, 1.25, 2.0, 3.5, 1.0, 1.75, 1.1])  # 11.6 together


def draw(epoch: int) -> np.ndarray:
    return drawn_images(FACTORS, np.random.default_rng([0, epoch]))


def test_an_image_comes_as_often_as_its_factor_says() -> None:
    counts = np.stack([np.bincount(draw(epoch), minlength=7) for epoch in range(4000)])
    assert set(counts.sum(1)) == {11, 12}
    assert (counts >= np.floor(FACTORS)).all() and (counts <= np.ceil(FACTORS)).all()
    assert counts.mean(0) == pytest.approx(FACTORS, abs=0.03)


def test_without_fractions_nothing_is_drawn() -> None:
    random = np.random.default_rng(0)
    assert drawn_images(np.array([1.0, 3.0, 1.0]), random).tolist() == [0, 1, 1, 1, 2]
    assert random.random() == np.random.default_rng(0).random()
    assert drawn_images(np.ones(0), random).tolist() == []


def test_all_epochs_have_one_length() -> None:
    assert epoch_size(FACTORS) == 11
    portrait = np.arange(7) % 2 == 0
    for epoch in range(50):
        batches = epoch_batches(portrait, 2, seed=0, epoch=epoch, factors=FACTORS)
        assert batches.shape == (5, 2)
        assert np.bincount(batches.ravel(), minlength=7).max() <= 4


def test_a_size_does_not_depend_on_the_order_of_the_images() -> None:
    # One by one, each tenth behind the large number is lost.
    factors = np.array([2.0**53, *[0.1] * 20])
    assert epoch_size(factors) == epoch_size(factors[::-1]) == 2**53 + 2


def take(count: int, **options: object) -> list[list[tuple[int, int]]]:
    settings = {"total_batch_size": 2, "seed": 5, "rank": 0, "world_size": 1, **options}
    sampler = StreamSampler(portrait=np.zeros(7, dtype=bool), factors=FACTORS, **settings)
    return list(islice(sampler, count))


@pytest.mark.parametrize("start", [1, 5, 6, 13])
def test_the_stream_goes_on_from_any_step(start: int) -> None:
    assert take(6, start_iteration=start) == take(start + 6)[start:]


def test_processes_only_cut_the_steps() -> None:
    parts = [take(12, rank=rank, world_size=2) for rank in range(2)]
    joined = [first + second for first, second in zip(*parts, strict=True)]
    assert joined == take(12)
