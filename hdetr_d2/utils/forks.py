"""Processes forked from one that has run PyTorch on several threads."""

import os
from functools import cache

import torch


@cache
def let_forks_run() -> None:
    """Makes PyTorch use one thread in processes that are forked from now on.

    A fork does not copy the threads of OpenMP, and GNU's waits for them forever at the first large
    operation. Loading a model is enough to start them.
    """
    if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
