"""Commands that run at the same time, each with a time limit."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from gpu_parts import ROOT, Part, Run, environment

GRACE = 5.0  # seconds between the request to end a process and killing it


class Process:
    """A started part. deadline: of `time.monotonic`."""

    def __init__(self, part: Part, output: Path, deadline: float) -> None:
        self.part = part
        self.begun = time.monotonic()
        self.deadline = min(self.begun + part.limit, deadline - GRACE)
        self.log = output / f"{re.sub('[^a-z0-9]+', '_', part.name.lower())}.log"
        self.log.with_suffix(".tally").unlink(missing_ok=True)
        self.process = self._start()

    def _start(self) -> subprocess.Popen | None:
        """None if the program does not exist, which is logged."""
        words = self.part.words(sys.executable, self.log)
        with self.log.open("w", encoding="utf-8") as log:
            try:
                return subprocess.Popen(
                    words,
                    cwd=ROOT,
                    env=environment(self.part),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # so that its own processes end with it
                )
            except OSError as error:
                print(f"{words[0]} cannot be run ({error.strerror})", file=log)
                return None

    def ended(self) -> Run | None:
        """The result; None as long as it runs."""
        if self.process is None:
            return Run(127, 0.0, self.log)
        status = self.process.poll()
        if status is None and time.monotonic() < self.deadline:
            return None
        self._end()
        return Run(status, time.monotonic() - self.begun, self.log)

    def _end(self) -> None:
        """Ends it and everything it has started."""
        assert self.process is not None
        for wish in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, wish)
                self.process.wait(GRACE / 2)
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue


def run_together(
    parts: Sequence[Part], output: Path, deadline: float
) -> Iterator[tuple[Part, Run]]:
    """Each is returned when it has ended, or when its time, or that of all, is over."""
    running = [Process(part, output, deadline) for part in parts]
    while running:
        for process in list(running):
            if run := process.ended():
                running.remove(process)
                yield process.part, run
        time.sleep(0.05)
