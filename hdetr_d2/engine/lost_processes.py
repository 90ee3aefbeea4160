"""Another process of the run is gone, or so slow that nobody waits any longer."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as dist
from detectron2.utils import comm

from hdetr_d2.errors import UserError


class LostProcessError(UserError):
    """This process can do nothing more without the other one."""


def tells_of_a_lost_process(error: BaseException) -> bool:
    """Whether an error is one of talking to another process. That of gloo has no class of its own,
    but names its source file.
    """
    if isinstance(error, dist.DistError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("/gloo/" in text or "[Gloo]" in text)


@contextmanager
def told_in_a_sentence(when: str) -> Iterator[None]:
    """Such an error within it is raised as a sentence.

    Args:
        when: it was, in that sentence.

    Raises:
        LostProcessError: in the place of such an error.
    """
    try:
        yield
    except RuntimeError as error:
        if not tells_of_a_lost_process(error):
            raise
        raise _lost(when, error) from error


def lost_at(iteration: int, error: BaseException) -> LostProcessError:
    """What to raise in the place of such an error."""
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
