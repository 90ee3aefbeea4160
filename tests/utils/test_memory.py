"""Memory that is kept for the next tensor, in processes of their own."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import torch
from hdetr_d2.utils.memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(3):
    torch.ones(8 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(8 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Pages that the system had to give for five tensors of 32 MB, one after the other."""
    run = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return int(run.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of the GNU C library")
def test_pages_are_asked_for_once() -> None:
    # Without it, 4 KB or 2 MB each: at least one page a tensor.
    assert faults("keep") < faults("give back")
