"""Seeding."""

import logging
import os
import random

import numpy as np
import torch
from detectron2._subset import absent

__all__ = ["seed_all_rng"]

__getattr__ = absent(__name__)


def seed_all_rng(seed: int | None = None) -> None:
    """Seed the generators of Python, numpy and torch, without a seed from the system's entropy."""
    if seed is None:
        seed = int.from_bytes(os.urandom(4), "big")
        logging.getLogger(__name__).info(f"no seed was given: drew {seed}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)  # the GPUs' generators included
    os.environ["PYTHONHASHSEED"] = str(seed)
