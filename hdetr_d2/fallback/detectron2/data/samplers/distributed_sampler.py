"""Distributes the elements of a data set over processes."""

from collections.abc import Iterator

from detectron2._subset import absent
from detectron2.utils import comm
from torch.utils.data import Sampler

__getattr__ = absent(__name__)


class InferenceSampler(Sampler[int]):
    """Every index exactly once over all processes, which get one range of consecutive indices each.

    The ranges differ by at most one element, the longer ones first. Nothing is padded or repeated,
    because a metric over a repeated image would be wrong.
    """

    def __init__(self, size: int) -> None:
        """
        Args:
            size: number of elements in the data set, at least 1.
        """
        assert size > 0, f"Cannot sample from a dataset of {size} elements."
        share, extra = divmod(size, comm.get_world_size())
        rank = comm.get_rank()
        start = rank * share + min(rank, extra)
        self._indices = range(start, start + share + (rank < extra))

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)
