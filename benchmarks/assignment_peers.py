"""Other solvers for the assignment problems of a training step."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from assignment_cases import Problems
from scipy.optimize import linear_sum_assignment
from timing import Side

from hdetr_d2.ops import batched_assignment

SCIPY, LAPX, BATCHED = "SciPy", "lapx (lapjvr)", "torch-linear-assignment"
OURS_ON_HOST = "ours on the CPU, with the copies"

# torch-linear-assignment's kernel unrolls a row over the lanes of a warp.
WIDEST = 4096


def on_host(problems: Problems) -> list[np.ndarray]:
    """As in public matchers: `[Q, K * G]`, every target repeated."""
    return [
        np.ascontiguousarray(problem.numpy().T)
        for cost in problems.to("cpu").repeated()
        for problem in cost
    ]


def scipy_loop(problems: Problems) -> Side:
    matrices = on_host(problems)
    return lambda: [linear_sum_assignment(matrix) for matrix in matrices]


def lapx_loop(problems: Problems) -> Side:
    from lap import lapjvr

    matrices = on_host(problems)
    return lambda: [lapjvr(matrix, extend_cost=True, return_cost=False) for matrix in matrices]


def torch_linear_assignment(problems: Problems) -> Side:
    """A Triton kernel on CUDA, SciPy on the CPU. Targets first, because it transposes the other
    form.
    """
    from torch_linear_assignment import batch_linear_assignment

    costs = problems.repeated()
    if any(cost.is_cuda and cost.shape[2] > WIDEST for cost in costs):
        raise NotImplementedError(
            f"rows of more than {WIDEST}, which one warp holds, are not tried"
        )
    return lambda: [batch_linear_assignment(cost) for cost in costs]


def ours_on_host(problems: Problems) -> Side:
    """For few or hard problems, copying to the host may be cheaper."""
    device = problems.counts.device

    def solve() -> object:
        here = problems.to("cpu")
        answers = batched_assignment(here.costs, here.counts, here.capacities)
        return [answer.to(device) for answer in answers]

    return solve


# Name -> function that creates a side for the problems; raises ImportError if the package is
# missing, and NotImplementedError if it is not suitable for these problems.
Peers = Mapping[str, Callable[[Problems], Side]]
ANYWHERE: Peers = {SCIPY: scipy_loop, LAPX: lapx_loop, BATCHED: torch_linear_assignment}
ON_CUDA: Peers = {OURS_ON_HOST: ours_on_host}


def discover(device: str) -> tuple[Peers, list[str]]:
    """The installed peers, and a line about each that is missing."""
    found, absent = {}, []
    for name, make in {**ANYWHERE, **(ON_CUDA if device == "cuda" else {})}.items():
        try:
            make(Problems([], torch.zeros(0, dtype=torch.int64), []))
            found[name] = make
        except ImportError as error:
            absent.append(f"{name}: not installed ({error})")
    return found, absent
