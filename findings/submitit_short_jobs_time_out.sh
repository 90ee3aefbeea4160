#!/bin/bash
# submitit 1.5.4: a job with a time limit of 10 minutes or less that is preempted in its first seconds is taken for one whose
# time was over, and counted as such: after `max_num_timeout` of them (3) it is not queued again. With a limit of 11 minutes
# the same job is "preempted", and queued as often as needed.
#
# Expected: "preempted" for any limit, since next to nothing of it was used.
# Why: a job counts as timed out from 80% of its limit or from 10 minutes before its end, whichever comes first
# (SignalHandler.has_timed_out); with a short limit the latter lies before the start.
# Who meets it: whoever tries with a short job whether preemption works.
# What helps: a limit of an hour, or slurm_max_num_timeout=1000.
#
# Output seen (of the log of a job that gets the signal a second after its start):
#   limit of 10 minutes: timed-out, 2 remaining timeouts
#   limit of 11 minutes: preempted, 3 remaining timeouts
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q submitit==1.5.4
cd "$folder"
cat >work.py <<'PY'
import os
import signal
import time

from submitit.helpers import DelayedSubmission


class Work:
    """Gets, one second after its start, the signal that Slurm sends to a job that must leave."""

    def __init__(self, again=False):
        self.again = again

    def __call__(self):
        if not self.again:
            time.sleep(1)
            os.kill(os.getpid(), signal.SIGUSR2)

    def checkpoint(self):
        return DelayedSubmission(Work(again=True))
PY
venv/bin/python - <<'PY'
import re
import sys

import submitit
from work import Work


def end(minutes):
    executor = submitit.AutoExecutor("jobs", cluster="local")
    executor.update_parameters(timeout_min=minutes)
    job = executor.submit(Work())
    job.result()
    log = job.stdout() + job.stderr()
    words = re.search(r"this job is ([\w-]+)", log)[1], re.search(r"\d remaining timeouts", log)[0]
    print(f"limit of {minutes} minutes:", ", ".join(words))
    return words


ends = [end(minutes) for minutes in (10, 11)]
described = ends == [("timed-out", "2 remaining timeouts"), ("preempted", "3 remaining timeouts")]
sys.exit(0 if described else 1)
PY
