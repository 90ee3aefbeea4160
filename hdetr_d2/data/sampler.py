"""Which images make up a step: a stream that is a function of (seed, position) only."""

from collections.abc import Iterable, Iterator
from copy import copy
from itertools import islice

import numpy as np
from detectron2.utils import comm
from torch.utils.data import Sampler

from hdetr_d2.data.repeats import drawn_images, epoch_size
from hdetr_d2.errors import UserError


def iterations_per_epoch(num_images: int, total_batch_size: int) -> int:
    """Steps per epoch, at least 1; the incomplete last batch is dropped."""
    return max(1, num_images // total_batch_size)


def epoch_batches(
    portrait: np.ndarray,
    total_batch_size: int,
    *,
    seed: int,
    epoch: int,
    factors: np.ndarray | None = None,
) -> np.ndarray:
    """The batches of one epoch, drawn from (seed, epoch).

    What does not fill a batch is dropped at random, whatever its orientation, so that all images
    are seen equally often. A batch contains images of one orientation, to limit padding, except for
    at most one with the leftovers of both. If there are fewer images than a batch, they are
    repeated.

    Args:
        portrait: bool [n], images that are higher than wide.
        total_batch_size: T.
        factors: float [n], mean repetitions of each image per epoch; None: 1.

    Returns:
        int64 [iterations_per_epoch(N, T), T], indices of images, where N is n or
        epoch_size(factors).
    """
    random = np.random.default_rng([seed, epoch])
    factors = np.ones(len(portrait)) if factors is None else factors
    order = random.permutation(drawn_images(factors, random))
    count = iterations_per_epoch(epoch_size(factors), total_batch_size)
    order = np.resize(order, count * total_batch_size)
    wide, high = order[~portrait[order]], order[portrait[order]]
    whole = [len(group) // total_batch_size * total_batch_size for group in (wide, high)]
    rest = random.permutation(np.concatenate([wide[whole[0] :], high[whole[1] :]]))
    batches = np.concatenate([wide[: whole[0]], high[: whole[1]], rest])
    return random.permutation(batches.reshape(count, total_batch_size), axis=0)


class StreamSampler(Sampler[list[tuple[int, int]]]):
    """Endless micro-batches of (image index, position in the stream) for one process.

    Step i of the stream consists of the positions i * T .. (i + 1) * T - 1; processes and
    micro-batches only divide it into slices. It can start at any step, for which at most one epoch
    is drawn.
    """

    def __init__(
        self,
        *,
        portrait: np.ndarray,
        total_batch_size: int,
        seed: int,
        accumulate: int = 1,
        start_iteration: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        factors: np.ndarray | None = None,
    ) -> None:
        """
        Args:
            portrait: bool [n], images that are higher than wide; all False disables grouping.
            total_batch_size: images per optimizer step, over all processes and micro-batches.
            seed: of the permutations.
            accumulate: micro-batches per step.
            start_iteration: completed steps.
            rank, world_size: index of this process and number of processes; None takes those of the
                process group.
            factors: float [n], mean repetitions of each image per epoch; None: 1.

        Raises:
            UserError: a step cannot be divided into equal micro-batches.
        """
        self.portrait = np.asarray(portrait, dtype=bool)
        self.factors = np.ones(len(self.portrait)) if factors is None else factors
        self.total_batch_size = total_batch_size
        self.seed = seed
        self.accumulate = accumulate
        self.start_iteration = start_iteration
        self.had = 0
        self.rank = comm.get_rank() if rank is None else rank
        self.world_size = comm.get_world_size() if world_size is None else world_size
        parts = self.world_size * accumulate
        if total_batch_size < 1 or total_batch_size % parts:
            raise UserError(
                f"a total batch of {total_batch_size} images cannot be shared equally by "
                f"{self.world_size} processes with {accumulate} micro-batches each"
            )

    def behind(self, had: int) -> Iterable[list[tuple[int, int]]]:
        """The micro-batches after the first `had`."""
        later = copy(self)
        later.had = had
        return later

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return islice(self._micro_batches(), self.had, None)

    def _micro_batches(self) -> Iterator[list[tuple[int, int]]]:
        size = self.total_batch_size
        count = iterations_per_epoch(epoch_size(self.factors), size)
        iteration = self.start_iteration
        while True:
            epoch = iteration // count
            batches = epoch_batches(
                self.portrait, size, seed=self.seed, epoch=epoch, factors=self.factors
            )
            for indices in batches[iteration % count :]:
                positions = np.arange(iteration * size, (iteration + 1) * size)
                step = np.stack([indices, positions], axis=1)
                # Micro-batch a of process r is slice a * world_size + r.
                for part in np.split(step, self.world_size * self.accumulate)[
                    self.rank :: self.world_size
                ]:
                    yield [(int(index), int(position)) for index, position in part]
                iteration += 1
