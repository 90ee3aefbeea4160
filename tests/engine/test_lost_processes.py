import os
import signal
from typing import Any

import pytest
import torch.distributed as dist
from detectron2.engine import HookBase

from hdetr_d2.engine.lost_processes import LostProcessError, tells_of_a_lost_process
from hdetr_d2.engine.preemption import Preempted, Preemption

CLOSED = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:561] Connection closed by peer"
WAITED = "[/pytorch/third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 3ms"


class Break(HookBase):
    """What gloo and NCCL raise, in the fourth step."""

    def __init__(self, error: Exception, number: int = 0) -> None:
        self.error = error
        self.number = number

    def after_step(self) -> None:
        if self.trainer.iter == 3:
            os.kill(os.getpid(), self.number)
            raise self.error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError(CLOSED), "process 0 of 1 lost another one in iteration 3: what that one"),
        (RuntimeError(WAITED), "waited for another one longer than train.timeout_minutes in iter"),
        (dist.DistBackendError("NCCL error: remote process exited"), "lost another one"),
    ],
)
def test_it_is_a_sentence_with_the_iteration(
    make_trainer: Any, error: Exception, reason: str
) -> None:
    trainer = make_trainer()
    trainer.register_hooks([Break(error)])
    with pytest.raises(LostProcessError, match=reason):
        trainer.train(0, 9)


def test_other_errors_are_as_they_are(make_trainer: Any) -> None:
    assert not tells_of_a_lost_process(ValueError(CLOSED))
    trainer = make_trainer()
    trainer.register_hooks([Break(RuntimeError("shapes do not fit"))])
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        trainer.train(0, 9)


@pytest.mark.skipif(os.name != "posix", reason="needs signals between processes")
def test_of_those_that_are_asked_to_end_one_is_the_first(make_trainer: Any) -> None:
    preemption, trainer = Preemption(), make_trainer()
    trainer.register_hooks([preemption, Break(RuntimeError(CLOSED), signal.SIGTERM)])
    with pytest.raises(Preempted), preemption:
        trainer.train(0, 9)
