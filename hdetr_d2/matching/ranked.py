"""Weights the queries of one target by their rank."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from hdetr_d2.matching.fit import Fit
from hdetr_d2.structures import (
    Assigner,
    Assignment,
    GroupOutput,
    Pairs,
    Scores,
    Step,
)


@dataclass(kw_only=True)
class Ranked:
    """Wraps another assigner: among the queries of a target, those that fit it less count less
    (Align-DETR, https://arxiv.org/abs/2304.07527).

    Queries are ranked by t = max(p^mix IoU^(1 - mix), least), where p is the score for the target's
    class. At rank r, counted from 0, the box losses and the target score of the class are
    multiplied by exp(-r / tau).

    normaliser_factor: losses are divided by this times the number of objects; None keeps the
    normaliser of the other assigner.

    Raises:
        ValueError: tau is not above 0, or mix is outside of [0, 1].
    """

    sums_blocks: ClassVar[bool] = True

    assigner: Assigner
    tau: float = 1.5
    mix: float = 0.25
    least: float = 0.01
    normaliser_factor: float | None = 1.0

    def __post_init__(self) -> None:
        if not self.tau > 0:
            raise ValueError(f"tau={self.tau} must be above 0.")
        if not 0 <= self.mix <= 1:
            raise ValueError(f"mix={self.mix} must lie in [0, 1].")

    @property
    def hungarian(self) -> bool:
        return self.assigner.hungarian

    @property
    def assignment(self) -> Assignment | None:
        return self.assigner.assignment

    @property
    def capacity(self) -> tuple[int, ...]:
        return self.assigner.capacity

    def normaliser(self, step: Step) -> Tensor:
        if self.normaliser_factor is None:
            return self.assigner.normaliser(step)
        return step.ground_truths * self.normaliser_factor

    @torch.no_grad()
    def assign(self, output: GroupOutput, scores: Scores, matched: Assignment | None) -> Pairs:
        learned = self.assigner.assign(output, scores, matched)
        queries, targets = output.predictions.boxes.shape[2], output.targets.labels.shape[1]
        most = max(self.capacity, default=queries) * output.group.blocks
        learned = Pairs.of(learned, targets, most)
        fit = Fit.of_pairs(output, scores, learned.queries.clamp(min=0))
        t = (fit.scores**self.mix * fit.iou ** (1 - self.mix)).clamp(min=self.least)
        t = t.masked_fill(learned.queries < 0, -1.0)
        rank = t.argsort(stable=True, dim=-1, descending=True).argsort(-1)
        return replace(learned, weights=(-rank / self.tau).exp())
