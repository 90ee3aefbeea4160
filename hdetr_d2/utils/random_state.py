"""Isolated random state for single calls."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch


def stream_seed(seed: int, position: int, purpose: int = 0) -> int:
    """A 63-bit seed for one draw; other positions and purposes give unrelated seeds."""
    state = np.random.SeedSequence([seed, position, purpose]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


@contextmanager
def seeded(seed: int, devices: Sequence[torch.device] = ()) -> Iterator[None]:
    """Within this context, random numbers of PyTorch (on the CPU and on `devices`), NumPy and
    Python depend on `seed`; afterwards they continue as if nothing had been drawn.
    """
    python, numpy = random.getstate(), np.random.get_state()
    cuda = [device for device in devices if device.type == "cuda"]
    try:
        with torch.random.fork_rng(devices=cuda):
            # torch.manual_seed would seed all devices, which are not restored.
            torch.default_generator.manual_seed(seed)
            for device in cuda:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
