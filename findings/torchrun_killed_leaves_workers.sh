#!/bin/bash
# torch 2.14.1 on Linux: where a torchrun is killed by SIGKILL, as the system does for want of memory, the processes that it
# has started go on: they hold their ports, their memory and their GPUs, and write into the folder of the training that is
# started next. Processes of torch.multiprocessing.spawn, of the same library, end with the one that has started them.
#
# Expected: the same of both. SIGTERM to torchrun does end its processes.
# Why: spawn asks the system for a signal at the death of the parent (prctl, PR_SET_PDEATHSIG); the subprocesses of an elastic
# agent do not, and are in sessions of their own.
# Who meets it: whoever starts a training anew on a host whose torchrun was killed.
# What helps: ending the whole container or control group (Slurm does), or fuser on the GPUs before a new start.
#
# Output seen:
#   torchrun killed: its process is there 5 seconds later: True
#   parent of a spawned process killed: that is there 5 seconds later: False
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 numpy==2.4.6
cd "$folder"
cat >worker.py <<'PY'
import os
import time


def work(rank=0):
    with open("pid.new", "w") as file:
        file.write(str(os.getpid()))
    os.replace("pid.new", "pid")
    time.sleep(60)


if __name__ == "__main__":
    work()
PY
cat >spawning.py <<'PY'
import torch.multiprocessing as mp
from worker import work

if __name__ == "__main__":
    mp.spawn(work, nprocs=1)
PY
venv/bin/python - <<'PY'
import os
import subprocess
import sys
import time


def is_there(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def outlives(*words):
    """Whether a process is there 5 seconds after the death of the one that has started it."""
    parent = subprocess.Popen([sys.executable, *words], stderr=subprocess.DEVNULL)
    while not os.path.exists("pid"):
        assert parent.poll() is None, words
        time.sleep(0.1)
    with open("pid") as file:
        pid = int(file.read())
    os.remove("pid")
    parent.kill()
    parent.wait()
    time.sleep(5)
    there = is_there(pid)
    if there:
        os.kill(pid, 9)
    return there


started = outlives("-m", "torch.distributed.run", "--standalone", "worker.py")
print("torchrun killed: its process is there 5 seconds later:", started)
spawned = outlives("spawning.py")
print("parent of a spawned process killed: that is there 5 seconds later:", spawned)
sys.exit(0 if started and not spawned else 1)
PY
