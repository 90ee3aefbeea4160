"""Errors about other processes that have died, or are too slow to wait for."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as dist
from detectron2.utils import comm

from hdetr_d2.errors import UserError


class LostProcessError(UserError):
    """This process cannot continue without another one."""


def tells_of_a_lost_process(error: BaseException) -> bool:
    """Whether an error comes from communication with another process. Gloo's errors have no class
    of their own, but name their source file.
    """
    if isinstance(error, dist.DistError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("/gloo/" in text or "[Gloo]" in text)


@contextmanager
def told_in_a_sentence(when: str) -> Iterator[None]:
    """Context manager that replaces such errors by one sentence.

    Args:
        when: when it failed, as used in that sentence.

    Raises:
        LostProcessError: in place of such an error.
    """
    try:
        yield
    except RuntimeError as error:
        if not tells_of_a_lost_process(error):
            raise
        raise _lost(when, error) from error


def lost_at(iteration: int, error: BaseException) -> LostProcessError:
    """The exception to raise in place of a communication error in this iteration."""
    return _lost(f"in iteration {iteration}", error)


def _lost(when: str, error: BaseException) -> LostProcessError:
    slow = "time" in str(error).lower()
    what = (
        "waited for another one longer than train.timeout_minutes" if slow else "lost another one"
    )
    return LostProcessError(
        f"process {comm.get_rank()} of {comm.get_world_size()} {what} {when}: "
        "what that one said last is the reason; --resume goes on from the last checkpoint"
    )
