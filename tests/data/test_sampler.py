"""A permutation an epoch, the same from any start, for any number of processes and slices."""

from itertools import islice

import numpy as np
import pytest

from hdetr_d2.data.sampler import StreamSampler, epoch_batches, iterations_per_epoch
from hdetr_d2.errors import UserError

PORTRAIT = np.arange(23) % 3 == 0  # 8 portrait, 15 landscape


def take(count: int, **options: object) -> list[list[tuple[int, int]]]:
    settings = {"portrait": PORTRAIT, "total_batch_size": 4, "seed": 5, "rank": 0, "world_size": 1}
    return list(islice(StreamSampler(**{**settings, **options}), count))


@pytest.mark.parametrize(("images", "batch", "expected"), [(23, 4, 5), (4, 4, 1), (3, 4, 1)])
def test_iterations_per_epoch(images: int, batch: int, expected: int) -> None:
    assert iterations_per_epoch(images, batch) == expected


def test_an_epoch_holds_no_image_twice() -> None:
    batches = epoch_batches(PORTRAIT, 4, seed=0, epoch=0)
    assert batches.shape == (5, 4)
    assert len(np.unique(batches)) == 20


def test_at_most_one_batch_mixes_orientations() -> None:
    for portraits, expected in [(8, 0), (2, 1)]:  # of 16 images: whole batches of 4, or leftovers
        portrait = np.arange(16) < portraits
        batches = epoch_batches(portrait, 4, seed=0, epoch=0)
        assert sum(len(set(portrait[batch])) > 1 for batch in batches) == expected
    for epoch in range(20):  # other leftovers of 8 and 15 in every epoch
        batches = epoch_batches(PORTRAIT, 4, seed=0, epoch=epoch)
        assert sum(len(set(PORTRAIT[batch])) > 1 for batch in batches) <= 1


def test_the_rarer_orientation_is_seen_as_often_as_the_other() -> None:
    portrait = np.arange(35) < 3  # fewer than a batch, and than what an epoch leaves out
    epochs = [epoch_batches(portrait, 16, seed=0, epoch=epoch) for epoch in range(300)]
    seen = np.bincount(np.concatenate(epochs).ravel(), minlength=35) / 300
    assert seen[portrait].mean() == pytest.approx(32 / 35, abs=0.03)
    assert seen.min() > 0.85


def test_epochs_and_seeds_differ_and_repeat() -> None:
    first = epoch_batches(PORTRAIT, 4, seed=0, epoch=0)
    assert (first == epoch_batches(PORTRAIT, 4, seed=0, epoch=0)).all()
    assert (first != epoch_batches(PORTRAIT, 4, seed=0, epoch=1)).any()
    assert (first != epoch_batches(PORTRAIT, 4, seed=1, epoch=0)).any()


def test_few_images_are_repeated_to_fill_a_batch() -> None:
    batches = epoch_batches(np.zeros(3, dtype=bool), 8, seed=0, epoch=0)
    assert batches.shape == (1, 8)
    assert set(batches[0]) == {0, 1, 2}


def test_positions_count_the_stream() -> None:
    positions = [position for batch in take(7) for _, position in batch]
    assert positions == list(range(28))


@pytest.mark.parametrize("start", [1, 4, 5, 7, 12])
def test_the_stream_goes_on_from_any_step(start: int) -> None:
    assert take(6, start_iteration=start) == take(start + 6)[start:]


@pytest.mark.parametrize(("world_size", "accumulate"), [(2, 1), (1, 2), (2, 2), (4, 1)])
def test_processes_and_micro_batches_only_cut_the_steps(world_size: int, accumulate: int) -> None:
    options = {"world_size": world_size, "accumulate": accumulate}
    parts = [take(6 * accumulate, rank=rank, **options) for rank in range(world_size)]
    for i, step in enumerate(take(6)):
        micro = slice(i * accumulate, (i + 1) * accumulate)
        joined = [pair for part in parts for batch in part[micro] for pair in batch]
        assert sorted(joined) == sorted(step)


def test_a_batch_that_cannot_be_shared_is_an_error() -> None:
    with pytest.raises(UserError, match="16 images .* 3 processes with 2 micro-batches"):
        take(1, total_batch_size=16, world_size=3, accumulate=2)
