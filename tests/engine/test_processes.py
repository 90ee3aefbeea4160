"""What becomes of processes that stand and fall together."""

import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import torch.multiprocessing as mp

from hdetr_d2.engine import processes
from hdetr_d2.engine.preemption import SIGNALS, Preempted
from hdetr_d2.engine.processes import run_together
from hdetr_d2.errors import UserError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals between processes")


def main(number: int, ends: list[Any], complaints: Any) -> None: ...


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """In the place of processes: what waiting for them raises, and what they have said."""

    def start(error: Exception | None, *said: str) -> None:
        class Started:
            def pids(self) -> list[int]:
                return [12345]

            def join(self, grace_period: float) -> bool:
                if error is not None:
                    raise error
                return True

        class Queue(list):
            def empty(self) -> bool:
                return not self

            def get(self) -> str:
                return self.pop(0)

        class Context:
            SimpleQueue = staticmethod(lambda: Queue(said))

        monkeypatch.setattr(mp, "start_processes", lambda *args, **options: Started())
        monkeypatch.setattr(mp, "get_context", lambda name: Context())

    yield start


def exited(status: int) -> mp.ProcessExitedException:
    return mp.ProcessExitedException("ended", error_index=1, error_pid=2, exit_code=status)


LOST = "process 0 of 2 lost another one"


@pytest.mark.parametrize(
    ("error", "said", "reason"),
    [
        (
            exited(-signal.SIGKILL),
            [LOST],
            "process 1 was ended by SIGKILL, as the system does where",
        ),
        (exited(-signal.SIGSEGV), [], "process 1 was ended by SIGSEGV; --resume goes on"),
        (exited(2), ["no such file"], "no such file"),
        (mp.ProcessRaisedException("Traceback", 1, 2), ["no such file"], "no such file"),
    ],
)
def test_the_first_that_ends_is_the_reason(
    started: Any, error: Exception, said: list[str], reason: str
) -> None:
    started(error, *said)
    with pytest.raises(UserError, match=re.escape(reason)):
        run_together(main, (), 2)


@pytest.mark.parametrize("status", [75, -signal.SIGTERM, -signal.SIGUSR1])
def test_one_that_was_asked_to_end_is_no_error(started: Any, status: int) -> None:
    started(exited(status), LOST)
    with pytest.raises(Preempted):
        run_together(main, (), 2)


def test_a_traceback_stays_one(started: Any) -> None:
    started(mp.ProcessRaisedException("Traceback", 1, 2))
    with pytest.raises(mp.ProcessRaisedException):
        run_together(main, (), 2)


def test_signals_are_passed_on(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    kill = os.kill
    before = [signal.getsignal(each) for each in SIGNALS]
    started(None)
    monkeypatch.setattr(processes.os, "kill", lambda *pair: sent.append(pair))
    with processes._signals_to([12345, 12346]):
        kill(os.getpid(), signal.SIGUSR1)
    assert sent == [(12345, signal.SIGUSR1), (12346, signal.SIGUSR1)]
    assert [signal.getsignal(each) for each in SIGNALS] == before
