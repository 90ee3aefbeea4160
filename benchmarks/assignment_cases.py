"""The problems of a training step, and ways to solve them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from hdetr_d2.layers import box_cxcywh_to_xyxy, pairwise_generalized_box_iou

LAYERS, IMAGES = 6, 2


@dataclass(frozen=True)
class Group:
    """Queries that are matched together: of every image, in so many layers.

    capacity: how many of them a target takes.
    """

    layers: int
    queries: int
    capacity: int


ONE2ONE = Group(LAYERS, 300, 1)
ONE2MANY = Group(LAYERS, 1500, 6)
ENCODER = Group(1, 22_223, 1)


@dataclass(frozen=True)
class Case:
    """Groups solved in one call; `required`: the ratio to SciPy for 30 targets on two threads."""

    groups: tuple[Group, ...]
    required: float | None

    def shrunk(self) -> "Case":
        groups = (Group(1, group.queries // 50, group.capacity) for group in self.groups)
        return Case(tuple(groups), None)


CASES: Mapping[str, Case] = {
    "one2one": Case((ONE2ONE,), 12),
    "one2many": Case((ONE2MANY,), 60),
    "encoder": Case((ENCODER,), 20),
    "step": Case((ONE2ONE, ONE2MANY, ENCODER), 45),
}


@dataclass(frozen=True)
class Problems:
    """The costs of each group `Tensor[P, G, Q]`, targets first, and its capacity."""

    costs: list[Tensor]
    counts: Tensor
    capacities: list[int]

    def official(self) -> list[np.ndarray]:
        """As matchers in public have them: `[Q, K * G]`, every target repeated."""
        return [
            np.ascontiguousarray(np.repeat(problem.numpy().T, capacity, axis=1))
            for cost, capacity in zip(self.costs, self.capacities, strict=True)
            for problem in cost.cpu()
        ]


def trained(boxes: Tensor, queries: int, rng: torch.Generator) -> Tensor:
    """Three of five queries are near a target, the others anywhere: `[P, G, 4]` to `[P, Q, 4]`."""
    problems, targets, _ = boxes.shape
    chosen = torch.randint(targets, (problems, queries, 1), generator=rng).expand(-1, -1, 4)
    near = boxes.gather(1, chosen) + 0.02 * torch.randn(problems, queries, 4, generator=rng)
    anywhere = torch.rand(problems, queries, 4, generator=rng)
    is_near = torch.rand(problems, queries, 1, generator=rng) < 0.6
    return torch.where(is_near, near, anywhere).clamp(0.01, 1)


def box_costs(group: Group, targets: int, rng: torch.Generator) -> Tensor:
    """Class, L1 and GIoU costs with the usual weights: `Tensor[P, G, Q]`."""
    problems = group.layers * IMAGES
    boxes = torch.rand(problems, targets, 4, generator=rng) * 0.5 + 0.1
    predicted = trained(boxes, group.queries, rng)
    distance = (boxes[:, :, None] - predicted[:, None]).abs().sum(-1)
    giou = pairwise_generalized_box_iou(box_cxcywh_to_xyxy(boxes), box_cxcywh_to_xyxy(predicted))
    scores = torch.rand(problems, targets, group.queries, generator=rng)
    return (-2 * scores**4 + 5 * distance - 2 * giou).contiguous()


def equal_costs(group: Group, targets: int, rng: torch.Generator) -> Tensor:
    return torch.ones(group.layers * IMAGES, targets, group.queries)


def equal_targets(group: Group, targets: int, rng: torch.Generator) -> Tensor:
    return box_costs(group, 1, rng).expand(-1, targets, -1).contiguous()


KINDS: Mapping[str, Callable[[Group, int, torch.Generator], Tensor]] = {
    "boxes": box_costs,
    "equal costs": equal_costs,
    "equal targets": equal_targets,
}


def draw(case: Case, kind: str, targets: int, device: str) -> Problems:
    rng = torch.Generator().manual_seed(0)
    costs = [KINDS[kind](group, targets, rng).to(device) for group in case.groups]
    counts = torch.full((IMAGES,), targets, device=device)
    return Problems(costs, counts, [group.capacity for group in case.groups])


def scipy_loop(matrices: list[np.ndarray]) -> Callable[[], object]:
    return lambda: [linear_sum_assignment(matrix) for matrix in matrices]


def lapx_loop(matrices: list[np.ndarray]) -> Callable[[], object]:
    from lap import lapjvr

    return lambda: [lapjvr(matrix, extend_cost=True, return_cost=False) for matrix in matrices]


# Name -> what makes a side of the problems in the public form; raises ImportError if it is absent.
PEERS: Mapping[str, Callable[[list[np.ndarray]], Callable[[], object]]] = {
    "SciPy": scipy_loop,
    "lapx (lapjvr)": lapx_loop,
}
