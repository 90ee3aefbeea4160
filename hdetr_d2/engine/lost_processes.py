"""Another process of the run is gone, or so slow that nobody waits any longer."""

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


def lost_at(iteration: int, error: BaseException) -> LostProcessError:
    """What to raise in the place of such an error."""
    slow = "time" in str(error).lower()
    what = (
        "waited for another one longer than train.timeout_minutes" if slow else "lost another one"
    )
    return LostProcessError(
        f"process {comm.get_rank()} of {comm.get_world_size()} {what} in iteration {iteration}: "
        "what that one said last is the reason; --resume goes on from the last checkpoint"
    )
