"""A training of which only the second process is asked to end, in the third step;
test_preemption.py runs it in two processes. Each of them writes what it did to its own file.
"""

import hdetr_d2  # noqa: F401

import os
import signal
import sys
from pathlib import Path

from detectron2.engine import HookBase
from detectron2.utils import comm
from one_weight import OneWeight, make_trainer

from hdetr_d2.engine.launch import launch
from hdetr_d2.engine.preemption import Preempted, Preemption


class Send(HookBase):
    def before_step(self) -> None:
        if self.trainer.iter == 2 and comm.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGUSR1)


def train(folder: str) -> None:
    trainer = make_trainer(OneWeight(), [[{"image_id": 1, "instances": [0]}]] * 9)
    preemption, saved = Preemption(), []
    preemption.save = saved.append
    trainer.register_hooks([preemption, Send()])
    try:
        with preemption:
            trainer.train(0, 9)
    except Preempted as end:
        text = f"saved after {saved[0]} iterations, status {end.code}"
        Path(folder, f"{comm.get_rank()}.txt").write_text(text)


if __name__ == "__main__":
    launch(train, sys.argv[1], device="cpu")
