"""Memory that is kept for the next tensor, in a process of its own."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import torch
from hdetr_d2.utils.memory import keep_freed_memory

def faults():
    for _ in range(3):
        torch.ones(8 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(8 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = faults()
assert keep_freed_memory()
print(faults(), given_back)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of the GNU C library")
def test_pages_are_asked_for_once() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    # Pages that the system had to give for five tensors of 32 MB, one after the other. Without it,
    # 4 KB or 2 MB each: at least one page a tensor.
    kept, given_back = map(int, run.stdout.split())
    assert kept < given_back
