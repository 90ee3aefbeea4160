"""Random numbers of one call, as if there were no others."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch


def stream_seed(seed: int, position: int, purpose: int = 0) -> int:
    """A 63-bit seed for one draw; other positions and purposes give unrelated ones."""
    state = np.random.SeedSequence([seed, position, purpose]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


@contextmanager
def seeded(seed: int, devices: Sequence[torch.device] = ()) -> Iterator[None]:
    """Within it, what PyTorch (on the CPU and on `devices`), NumPy and Python draw follows from
    `seed`; behind it, they go on as if nothing had been drawn.
    """
    python, numpy = random.getstate(), np.random.get_state()
    cuda = [device for device in devices if device.type == "cuda"]
    try:
        with torch.random.fork_rng(devices=cuda):
            # torch.manual_seed would seed all devices, of which nobody sets the others back.
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
