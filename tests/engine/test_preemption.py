import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from detectron2.engine import HookBase

from hdetr_d2.checkpoint import Checkpointer, read_checkpoint
from hdetr_d2.engine.hooks import CheckpointHook
from hdetr_d2.engine.preemption import SIGNALS, Preempted, Preemption

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals between processes")


class Send(HookBase):
    """Sends a signal to this process in the middle of a step."""

    def __init__(self, number: int, iteration: int) -> None:
        self.number = number
        self.iteration = iteration

    def after_backward(self) -> None:
        if self.trainer.iter == self.iteration:
            os.kill(os.getpid(), self.number)


@pytest.fixture
def run(make_trainer: Any, tmp_path: Path) -> Callable[..., None]:
    """Trains for 10 iterations with further hooks, and a checkpoint every third of them."""

    def train(preemption: Preemption, *hooks: HookBase) -> None:
        trainer = make_trainer()
        checkpoints = CheckpointHook(Checkpointer(trainer.model, str(tmp_path)), period=3, keep=2)
        preemption.save = checkpoints.save
        trainer.register_hooks([checkpoints, preemption, *hooks])
        with preemption:
            trainer.train(0, 10)

    return train


def saved(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.pth"))


@pytest.mark.parametrize("number", SIGNALS)
def test_the_step_is_finished_and_saved(
    run: Callable, tmp_path: Path, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    with caplog.at_level(logging.WARNING), pytest.raises(SystemExit) as end:
        run(Preemption(), Send(number, iteration=3))
    assert end.value.code == 75
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000004.pth"
    assert read_checkpoint(tmp_path / "model_0000004.pth")["metadata"] == {"iteration": 4}
    name = signal.Signals(number).name
    assert f"{name}: the training ends after 4 iterations, and --resume goes on" in caplog.text
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_what_has_just_been_saved_is_not_saved_twice(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    monkeypatch.setattr(Checkpointer, "save", lambda self, name, **_: names.append(name))
    with pytest.raises(Preempted):
        run(Preemption(), Send(signal.SIGTERM, iteration=5))
    assert names == ["model_0000003", "model_0000006"]


def test_an_evaluation_is_broken_off_and_a_step_is_not(run: Callable, tmp_path: Path) -> None:
    class Look(HookBase):
        looked: list[int] = []

        def after_step(self) -> None:
            with preemption.interruptible():
                if self.trainer.iter == 4:
                    os.kill(os.getpid(), signal.SIGTERM)
                self.looked.append(self.trainer.iter)

    preemption, look = Preemption(), Look()
    with pytest.raises(Preempted):
        run(preemption, look)
    assert look.looked == [0, 1, 2, 3]
    assert saved(tmp_path) == ["model_0000003.pth", "model_0000005.pth"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_python_swallows_in_a_finalizer_is_made_up_for(run: Callable, tmp_path: Path) -> None:
    class Finalized:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            getattr(self, "anything", None)  # the signal is handled in here

    class Look(HookBase):
        def after_step(self) -> None:
            if self.trainer.iter == 4:
                with preemption.interruptible():
                    Finalized()

    preemption = Preemption()
    with pytest.raises(Preempted):
        run(preemption, Look())
    assert saved(tmp_path) == ["model_0000003.pth", "model_0000005.pth"]


def test_where_all_must_save_it_is_done_before_one_leaves(run: Callable, tmp_path: Path) -> None:
    class Look(HookBase):
        def after_step(self) -> None:
            if self.trainer.iter == 1:
                with preemption.interruptible():
                    assert saved(tmp_path) == ["model_0000002.pth"]
                    os.kill(os.getpid(), signal.SIGTERM)

    preemption = Preemption()
    preemption.saves_together = True
    with pytest.raises(Preempted):
        run(preemption, Look())
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000002.pth"


def test_a_second_signal_does_not_break_off_the_writing(run: Callable, tmp_path: Path) -> None:
    preemption = Preemption()

    class Look(HookBase):
        def after_step(self) -> None:
            save = preemption.save

            def save_slowly(done: int) -> None:
                os.kill(os.getpid(), signal.SIGTERM)
                save(done)

            preemption.save = save_slowly
            with preemption.interruptible():
                os.kill(os.getpid(), signal.SIGUSR1)

    with pytest.raises(Preempted):
        run(preemption, Look())
    assert saved(tmp_path) == ["model_0000001.pth"]


def test_before_the_first_step_there_is_nothing_to_save(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(Preempted), Preemption():
        os.kill(os.getpid(), signal.SIGTERM)
    assert "SIGTERM: the training ends before the first step" in caplog.text


def test_a_process_that_inherits_it_ends_as_others_do() -> None:
    with Preemption():
        child = os.fork()
        if not child:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


def test_both_processes_end_after_the_same_step(run_twice: Any, tmp_path: Path) -> None:
    run_twice(Path(__file__).with_name("two_processes_ended.py"), tmp_path)
    ends = [(tmp_path / f"{rank}.txt").read_text() for rank in range(2)]
    assert ends == ["saved after 3 iterations, status 75"] * 2


def test_ctrl_c_says_how_to_go_on(
    run: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        run(Preemption(), Send(signal.SIGINT, iteration=4))
    assert caplog.messages[-1] == (
        "Ctrl-C: the training ends after 4 iterations; --resume takes the last checkpoint"
    )
    assert saved(tmp_path) == ["model_0000003.pth"]
