"""Probabilistic anchor assignment (PAA, https://arxiv.org/abs/2007.08103)."""

import math

import torch
from torch import Tensor

from hdetr_d2.projects.co_detr.anchors import Anchors
from hdetr_d2.projects.co_detr.levels import best_of_levels
from hdetr_d2.structures import BACKGROUND, NO_LOSS, Assignment

_LEAST_VARIANCE = 1e-6
_CONVERGED = 1e-3
"""A fit has converged when the mean log density changes by less than this."""


def assign_by_mixture(
    candidates: Assignment, losses: Tensor, most: int, anchors: Anchors, per_level: int = 9
) -> Assignment:
    """Selects, among the candidates of each target, those that already fit it well: `Tensor[B, N]`.

    In every level the candidates with the smallest losses are kept. A mixture of two normal
    distributions is fitted to their losses: candidates of the component with smaller losses, up to
    its mode, learn the target; all others are background. A single candidate learns the target.

    Args:
        candidates: `Tensor[B, N]`, at most one target per anchor.
        losses: `Tensor[B, N]`, of each with its target.
        most: padded number of targets G per image.
        anchors: of the pyramid.
        per_level: candidates per target and level.
    """
    numbers = torch.arange(most, device=losses.device)[:, None]
    losses = losses[:, None].where(candidates[:, None] == numbers, float("inf"))  # [B, G, N]
    values, rows = best_of_levels(losses, anchors.lengths, per_level, largest=False)
    taken = smaller_mode(values, values.isfinite()).flatten(1)
    answer = torch.full_like(candidates, BACKGROUND)
    # An anchor is a candidate of only one target, so at most one of its rows is taken.
    picked = torch.where(taken, candidates.gather(1, rows.flatten(1)), BACKGROUND)
    answer = answer.scatter_reduce(1, rows.flatten(1), picked, "amax")
    return torch.where(candidates == NO_LOSS, NO_LOSS, answer)


def smaller_mode(values: Tensor, real: Tensor, steps: int = 30) -> Tensor:
    """Which of the `real` values, `Tensor[..., n]` each, belong to the smaller of two normal
    distributions, up to its mode: `Tensor[..., n]` bool.

    The distributions start at the smallest and the largest value with variance 1, and are fitted by
    expectation-maximisation; rows that have converged are not changed. The number of steps is
    fixed, because checking for convergence would wait for the device; the published code takes up
    to 100, of which more than 30 are hardly ever needed.
    """
    values = torch.where(real, values, 0.0).double()
    mixture = Mixture(values, real)
    for _ in range(steps):
        mixture.step()
    density = mixture.log_densities()
    small = real & (density[0] >= density[1])
    overall = density.logsumexp(0).masked_fill(~small, -float("inf"))
    limit = values.gather(-1, overall.argmax(-1, keepdim=True))
    return small & (values <= limit)


class Mixture:
    """Two normal distributions for each row of `Tensor[..., n]`, of which only `real` values count.
    The first axis of all parameters is the component, `Tensor[2, ..., 1]`.
    """

    def __init__(self, values: Tensor, real: Tensor) -> None:
        self.values = values
        self.real = real
        low = values.masked_fill(~real, float("inf")).amin(-1, keepdim=True)
        high = values.masked_fill(~real, -float("inf")).amax(-1, keepdim=True)
        self.means = torch.stack([low, high]).where(real.any(-1, keepdim=True), 0.0)
        self.variances = torch.ones_like(self.means)
        self.shares = torch.full_like(self.means, 0.5)
        self.likelihood = torch.full_like(low, -float("inf"))
        self.moving = torch.ones_like(low, dtype=torch.bool)

    def log_densities(self) -> Tensor:
        """Log densities of all values in each component, weighted by its share,
        `Tensor[2, ..., n]`.
        """
        distance = (self.values - self.means).square() / self.variances
        return self.shares.log() - (distance + (2 * math.pi * self.variances).log()) / 2

    def step(self) -> None:
        """One step of expectation-maximisation, for the rows that have not converged."""
        densities = self.log_densities()
        parts = densities.softmax(0) * self.real
        total = parts.sum(-1, keepdim=True) + 10 * torch.finfo(parts.dtype).eps
        means = (parts * self.values).sum(-1, keepdim=True) / total
        squares = (parts * (self.values - means).square()).sum(-1, keepdim=True)
        self.means = torch.where(self.moving, means, self.means)
        variances = squares / total + _LEAST_VARIANCE
        self.variances = torch.where(self.moving, variances, self.variances)
        self.shares = torch.where(self.moving, total / total.sum(0), self.shares)
        self._stop(densities.logsumexp(0))

    def _stop(self, densities: Tensor) -> None:
        """Rows whose mean log density, from `Tensor[..., n]`, hardly changed have converged."""
        count = self.real.sum(-1, keepdim=True).clamp(min=1)
        likelihood = (densities * self.real).sum(-1, keepdim=True) / count
        self.moving = self.moving & ((likelihood - self.likelihood).abs() >= _CONVERGED)
        self.likelihood = likelihood
