"""The assignment problems of a training step and of other packages' benchmarks, and kinds of
costs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hdetr_d2.ops import box_cxcywh_to_xyxy, pairwise_generalized_box_iou

LAYERS, IMAGES = 6, 2


@dataclass(frozen=True)
class Group:
    """Queries that are matched together: those of every image, in this many layers.

    capacity: queries per target.
    """

    layers: int
    queries: int
    capacity: int

    def shrunk(self) -> "Group":
        return Group(1, self.queries // 50, self.capacity)


ONE2ONE = Group(LAYERS, 300, 1)
ONE2MANY = Group(LAYERS, 1500, 6)
ENCODER = Group(1, 22_223, 1)
STEP = (ONE2ONE, ONE2MANY, ENCODER)


@dataclass(frozen=True)
class Case:
    """Groups solved in one call; `targets`: per image, if the case determines it."""

    groups: tuple[Group, ...]
    targets: int | None = None

    def shrunk(self) -> "Case":
        """A smaller version for tests that only run it."""
        return replace(self, groups=tuple(map(Group.shrunk, self.groups)), targets=3)


CASES: Mapping[str, Case] = {
    "one2one": Case((ONE2ONE,)),
    "one2many": Case((ONE2MANY,)),
    "encoder": Case((ENCODER,)),
    "step": Case(STEP),
    # 208 problems of the shapes for which torch-linear-assignment publishes times.
    "batch208, 300x100": Case((Group(104, 300, 1),), 100),
    "batch208, 300x300": Case((Group(104, 300, 1),), 300),
    "batch208, 300x600": Case((Group(104, 600, 1),), 300),
}


@dataclass(frozen=True)
class Problems:
    """The costs of each group `Tensor[P, G, Q]`, targets first, and its capacity."""

    costs: list[Tensor]
    counts: Tensor
    capacities: list[int]

    def repeated(self) -> list[Tensor]:
        """`Tensor[P, K * G, Q]` per group: every target repeated once per query that it takes."""
        return [
            cost.repeat(1, capacity, 1)
            for cost, capacity in zip(self.costs, self.capacities, strict=True)
        ]

    def to(self, device: torch.device | str) -> "Problems":
        costs = [cost.to(device) for cost in self.costs]
        return replace(self, costs=costs, counts=self.counts.to(device))


def trained(boxes: Tensor, queries: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Three of five queries are near a target, the others anywhere: `[P, G, 4]` to boxes
    `[P, Q, 4]`, and to the target that each is near, `[P, Q]`, or -1.
    """
    problems, targets, _ = boxes.shape
    chosen = torch.randint(targets, (problems, queries, 1), generator=rng)
    near = boxes.gather(1, chosen.expand(-1, -1, 4))
    near = near + 0.02 * torch.randn(problems, queries, 4, generator=rng)
    is_near = torch.rand(problems, queries, 1, generator=rng) < 0.6
    predicted = torch.where(is_near, near, anywhere(problems, queries, rng)).clamp(0.01, 1)
    return predicted, torch.where(is_near, chosen, -1).squeeze(-1)


def anywhere(problems: int, boxes: int, rng: torch.Generator) -> Tensor:
    return torch.rand(problems, boxes, 4, generator=rng)


def usual_costs(boxes: Tensor, predicted: Tensor, scores: Tensor) -> Tensor:
    """Class, L1 and GIoU costs with the usual weights: `Tensor[P, G, Q]`, like the scores."""
    distance = torch.cdist(boxes, predicted, p=1)
    giou = pairwise_generalized_box_iou(box_cxcywh_to_xyxy(boxes), box_cxcywh_to_xyxy(predicted))
    return (-2 * scores**4 + 5 * distance - 2 * giou).contiguous()


def trained_costs(group: Group, targets: int, rng: torch.Generator) -> Tensor:
    problems = group.layers * IMAGES
    boxes = anywhere(problems, targets, rng) * 0.5 + 0.1
    predicted, _ = trained(boxes, group.queries, rng)
    scores = torch.rand(problems, targets, group.queries, generator=rng)
    return usual_costs(boxes, predicted, scores)


def first_costs(group: Group, targets: int, rng: torch.Generator) -> Tensor:
    """Of a new model: queries anywhere, all with about the same small score."""
    problems = group.layers * IMAGES
    boxes, predicted = (anywhere(problems, n, rng) for n in (targets, group.queries))
    logits = -4.6 + 0.1 * torch.randn(problems, targets, group.queries, generator=rng)
    return usual_costs(boxes, predicted, logits.sigmoid())


def crowd_costs(group: Group, targets: int, rng: torch.Generator) -> Tensor:
    """Targets of two classes in three clusters, which compete for the same queries."""
    problems = group.layers * IMAGES
    centres = anywhere(problems, 3, rng) * 0.5 + 0.1
    cluster = torch.randint(3, (problems, targets, 1), generator=rng).expand(-1, -1, 4)
    boxes = centres.gather(1, cluster) + 0.02 * torch.randn(problems, targets, 4, generator=rng)
    label = torch.randint(2, (problems, targets, 1), generator=rng)
    scores = torch.rand(problems, 2, group.queries, generator=rng)
    scores = scores.gather(1, label.expand(-1, -1, group.queries))
    boxes = boxes.clamp(0.01, 1)
    return usual_costs(boxes, trained(boxes, group.queries, rng)[0], scores)


def integers(group: Group, targets: int, rng: torch.Generator) -> Tensor:
    """0 to 3: many equal costs, and many optimal assignments."""
    shape = (group.layers * IMAGES, targets, group.queries)
    return torch.randint(4, shape, generator=rng).float()


def equal_costs(group: Group, targets: int, rng: torch.Generator) -> Tensor:
    return torch.ones(group.layers * IMAGES, targets, group.queries)


def equal_targets(group: Group, targets: int, rng: torch.Generator) -> Tensor:
    return trained_costs(group, 1, rng).expand(-1, targets, -1).contiguous()


KINDS: Mapping[str, Callable[[Group, int, torch.Generator], Tensor]] = {
    "boxes": trained_costs,
    "init": first_costs,
    "crowd": crowd_costs,
    "integers": integers,
    "equal costs": equal_costs,
    "equal targets": equal_targets,
}


def draw(case: Case, kind: str, targets: int, device: str) -> Problems:
    rng = torch.Generator().manual_seed(0)
    costs = [KINDS[kind](group, targets, rng) for group in case.groups]
    counts = torch.full((IMAGES,), targets)
    return Problems(costs, counts, [group.capacity for group in case.groups]).to(device)
