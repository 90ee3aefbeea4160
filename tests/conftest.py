"""What holds for every test: one thread, fixed random numbers, CUDA tests only where CUDA is."""

import hdetr_d2  # noqa: F401  (decides which detectron2 the tests import)

import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch

# Many threads on tiny tensors cost more than they give.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def restore_random_state() -> Iterator[None]:
    """Every test draws the same numbers, whichever ran before it, and leaves no trace."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    yield
    random.setstate(python)
    np.random.set_state(numpy)
    torch.set_rng_state(cpu)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("needs_cuda") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
