"""Loaders: an endless, resumable stream for training, and every image once for evaluation."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from detectron2.data import (
    DatasetFromList,
    build_detection_test_loader,
    get_detection_dataset_dicts,
)
from torch.utils.data import DataLoader, Dataset

from hdetr_d2.data.lost_workers import lasting, leave_quietly
from hdetr_d2.data.mapper import DetrMapper
from hdetr_d2.data.patience import patiently
from hdetr_d2.data.plain_mapper import Mapper, placed
from hdetr_d2.data.repeats import repeat_factors
from hdetr_d2.data.resized import describe_lost
from hdetr_d2.data.sampler import StreamSampler
from hdetr_d2.errors import UserError
from hdetr_d2.pixels.images import BadImageError
from hdetr_d2.utils.device import on_host
from hdetr_d2.utils.random_state import seeded, stream_seed

logger = logging.getLogger(__name__)

POLICIES = ("stop", "skip")


@dataclass(frozen=True)
class Failure:
    """Returned by a worker instead of raising, which would print its traceback."""

    message: str
    may_be_skipped: bool = False


@dataclass(frozen=True)
class Mapped:
    """A training sample, and what had to be left out."""

    sample: dict[str, Any]
    skipped: tuple[str, ...]

    def pin_memory(self) -> "Mapped":
        """Called by torch's loader on objects of unknown types."""
        image = self.sample["image"].pin_memory()
        return Mapped({**self.sample, "image": image}, self.skipped)


class TrainDataset(Dataset):
    """Maps (index, position in the stream) to a sample; the same pair gives the same sample."""

    def __init__(
        self, *, dicts: list[dict], mapper: Mapper, seed: int, skip_bad: bool, patience: float = 0.0
    ) -> None:
        """
        Args:
            dicts: the data set.
            mapper: called with (entry, position), plus an endless iterator over entries of further
                images if it `asks_for_others`; or with only the entry, if it does not take a
                `position`.
            seed: of the choice of further images, and of mappers that do not take a `position`.
            skip_bad: replace an image that cannot be read by the next good one.
            patience: seconds to wait for an image folder that has disappeared.
        """
        # Pickled into one array, which workers share instead of copying millions of small objects.
        self.entries = DatasetFromList(dicts, serialize=True)
        self.mapper = placed(mapper, seed)
        self.seed = seed
        self.tries = len(dicts) if skip_bad else 1
        self.patience = patience

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, key: tuple[int, int]) -> Mapped | Failure:
        skipped: list[str] = []
        for offset in range(self.tries):
            try:
                return Mapped(self._map(*key, offset), tuple(skipped))
            except BadImageError as error:
                skipped.append(str(error))
            except UserError as error:
                return Failure(str(error))
        return Failure(skipped[0] if self.tries > 1 else _with_way_out(skipped[0], "train"))

    def _map(self, index: int, position: int, offset: int) -> dict[str, Any]:
        entry = self.entries[(index + offset) % len(self)]

        def read() -> dict[str, Any]:
            if getattr(self.mapper, "asks_for_others", False):
                return self.mapper(entry, position, self._others(position, offset))
            return self.mapper(entry, position)

        return patiently(read, entry, self.patience)

    def _others(self, position: int, offset: int) -> Iterator[dict]:
        """Randomly drawn entries for a position in the stream; another `offset` gives others."""
        for number in count(1):
            drawn = stream_seed(self.seed, position, purpose=number)
            yield self.entries[(drawn + offset) % len(self)]


class TrainLoader:
    """Endless micro-batches (lists of input dicts) of this process.

    Attributes:
        counts: "skipped_images" and "dropped_boxes" so far.
    """

    def __init__(
        self, dataset: TrainDataset, sampler: StreamSampler, num_workers: int, pin_memory: bool
    ) -> None:
        self.dataset = dataset
        self.sampler = sampler
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.counts: Counter[str] = Counter(skipped_images=0, dropped_boxes=0)
        self._reported: set[str] = set()

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        for batch in lasting(self._start):
            yield [self._unpack(result) for result in batch]

    @on_host()  # where PyTorch's loader draws a seed
    def _start(self, had: int) -> Iterator[list[Mapped | Failure]]:
        """The batches after the first `had`, from new workers."""
        loader = DataLoader(
            self.dataset,
            batch_sampler=self.sampler.behind(had),
            num_workers=self.num_workers,
            collate_fn=_as_list,
            worker_init_fn=leave_quietly,
            pin_memory=self.pin_memory,
            # A separate generator: the workers' seeds must not change the training's random state.
            generator=torch.Generator(),
        )
        return iter(loader)

    def _unpack(self, result: Mapped | Failure) -> dict[str, Any]:
        if isinstance(result, Failure):
            raise UserError(result.message)
        for message in result.skipped:
            self.counts["skipped_images"] += 1
            if message not in self._reported:
                self._reported.add(message)
                logger.warning(f"skipped: {message}")
        self.counts["dropped_boxes"] += result.sample.pop("dropped_boxes", 0)
        return result.sample


def build_train_loader(
    *,
    dataset: str,
    mapper: Mapper,
    total_batch_size: int,
    num_workers: int = 4,
    seed: int = 0,
    keep_empty: bool = False,
    repeat_threshold: float | None = None,
    accumulate: int = 1,
    start_iteration: int = 0,
    on_bad_image: str = "stop",
    patience: float = 300.0,
    aspect_grouping: bool = True,
    pin_memory: bool = False,
) -> TrainLoader:
    """The training stream of this process.

    Order and augmentation are functions of (seed, position in the stream), whatever the number of
    workers and processes.

    Args:
        dataset: registered name.
        mapper: see `DetrMapper`; mappers that take only an entry, like Detectron2's, are called
            with random numbers seeded by the position in the stream.
        total_batch_size: images per optimizer step, over all processes and micro-batches.
        num_workers: loading processes; 0 loads in this one.
        seed: of order and further images (`DetrMapper` has its own for augmentation).
        keep_empty: keep images without objects.
        repeat_threshold: images with a class that occurs in a smaller fraction of all images are
            repeated within an epoch, see `repeat_factors`; None repeats none.
        accumulate: micro-batches per step; the loader returns one at a time.
        start_iteration: completed steps; the stream continues after them.
        on_bad_image: "stop", or "skip": take the next good image, with a warning and a count.
        patience: seconds to wait for an image folder that has disappeared, before that.
        aspect_grouping: separate batches for portrait and landscape images.
        pin_memory: put images into page-locked memory, from which a CUDA device copies without
            waiting.

    Raises:
        UserError: there is nothing to train on, an unknown policy, a batch that cannot be divided,
            a teacher that knows none of the images; while iterating, an unreadable image.
    """
    _check_policy(on_bad_image)
    dicts = dataset_dicts(dataset, keep_empty=keep_empty)
    portrait = np.array([d.get("height", 0) > d.get("width", 0) for d in dicts])
    sampler = StreamSampler(
        portrait=portrait if aspect_grouping else np.zeros(len(dicts), dtype=bool),
        total_batch_size=total_batch_size,
        seed=seed,
        accumulate=accumulate,
        start_iteration=start_iteration,
        factors=repeat_factors(dicts, repeat_threshold),
    )
    # Other mappers do not tell what they do to an image.
    if isinstance(mapper, DetrMapper):
        mapper.check_taught(dicts)
        if lost := describe_lost(dicts, mapper.augmentations):
            logger.warning(f"data set {dataset!r}: {lost}")
    skip_bad = on_bad_image == "skip"
    train_dataset = TrainDataset(
        dicts=dicts, mapper=mapper, seed=seed, skip_bad=skip_bad, patience=patience
    )
    return TrainLoader(train_dataset, sampler, num_workers, pin_memory)


def dataset_dicts(dataset: str, *, keep_empty: bool) -> list[dict]:
    """The entries of a data set: all with `keep_empty`, otherwise those with an object that is not
    a crowd.

    Raises:
        UserError: none is left.
    """
    try:
        return get_detection_dataset_dicts(dataset, filter_empty=not keep_empty)
    except AssertionError as error:
        raise UserError(f"data set {dataset!r} cannot be used: {error}") from None


class EvaluationLoader:
    """Batches of Detectron2's test loader without unreadable images.

    Attributes:
        counts: "skipped_images" so far.
    """

    def __init__(self, loader: DataLoader, *, skip_bad: bool) -> None:
        self.loader = loader
        self.loader.worker_init_fn = leave_quietly
        self.skip_bad = skip_bad
        self.counts: Counter[str] = Counter(skipped_images=0)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        before = self.counts["skipped_images"]
        for batch in lasting(self._start):
            if good := [result for result in batch if not self._is_bad(result)]:
                yield good
        if skipped := self.counts["skipped_images"] - before:
            logger.warning(f"{skipped} images were skipped in this evaluation")

    @on_host()  # where PyTorch's loader draws a seed
    def _start(self, had: int) -> Iterator[list[Any]]:
        # Starting a torch loader draws a seed, which must not change the training's random state.
        with seeded(0):
            return islice(iter(self.loader), had, None)

    def _is_bad(self, result: dict[str, Any] | Failure) -> bool:
        if not isinstance(result, Failure):
            return False
        if not result.may_be_skipped:
            raise UserError(result.message)
        if not self.skip_bad:
            raise UserError(_with_way_out(result.message, "test"))
        self.counts["skipped_images"] += 1
        logger.warning(f"skipped (its objects count as missed): {result.message}")
        return True


def build_test_loader(
    *,
    dataset: str,
    mapper: Callable[[dict], dict[str, Any]],
    num_workers: int = 4,
    batch_size: int = 1,
    on_bad_image: str = "stop",
    patience: float = 300.0,
) -> EvaluationLoader:
    """Every image of a data set once, over all processes, in order, with or without objects.

    Args:
        dataset: registered name.
        mapper: see `DetrMapper`, with is_train=False.
        num_workers: loading processes.
        batch_size: images per batch of this process.
        on_bad_image: "stop", or "skip": leave the image out, so that its objects count as missed.
        patience: seconds to wait for an image folder that has disappeared, before that.

    Raises:
        UserError: the data set is empty, an unknown policy, augmentations that cannot be undone, a
            teacher that knows none of the images; while iterating, an unreadable image.
    """
    _check_policy(on_bad_image)
    dicts = dataset_dicts(dataset, keep_empty=True)
    # Before the training begins, not at its first evaluation.
    if isinstance(mapper, DetrMapper):
        mapper.check_taught(dicts)
        if not mapper.is_train:
            mapper.check_undoable(dicts[0].get("height", 480), dicts[0].get("width", 640))
    loader = build_detection_test_loader(
        dicts,
        mapper=_Guarded(mapper, patience),
        batch_size=batch_size,
        num_workers=num_workers,
    )
    return EvaluationLoader(loader, skip_bad=on_bad_image == "skip")


class _Guarded:
    """A mapper that returns a Failure; for None, Detectron2 would take another image instead."""

    def __init__(self, mapper: Callable[[dict], dict[str, Any]], patience: float) -> None:
        self.mapper = mapper
        self.patience = patience

    def __call__(self, dataset_dict: dict) -> dict[str, Any] | Failure:
        try:
            return patiently(lambda: self.mapper(dataset_dict), dataset_dict, self.patience)
        except BadImageError as error:
            return Failure(str(error), may_be_skipped=True)
        except UserError as error:
            return Failure(str(error))


def _with_way_out(message: str, loader: str) -> str:
    return f"{message}; dataloader.{loader}.on_bad_image=skip goes on without it"


def _as_list(batch: list[Any]) -> list[Any]:
    """Returns the batch unchanged: images differ in size, so nothing is stacked."""
    return batch


def _check_policy(on_bad_image: str) -> None:
    if on_bad_image not in POLICIES:
        raise UserError(f"on_bad_image must be one of {', '.join(POLICIES)}, not {on_bad_image!r}")
