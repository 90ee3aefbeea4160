"""One-to-many assignment by IoU and score, without a matching."""

from typing import ClassVar

import torch
from torch import Tensor

from hdetr_d2.matching.fit import Fit
from hdetr_d2.structures import BACKGROUND, Assignment, GroupOutput, Pairs, Scores, Step

_GOLDEN = 0.6180339887498949
"""The fractional parts of its multiples are evenly spread, however many there are."""

_ROUNDING = 1e-6
"""75 / 900 of 900 are 75."""


class TopKByScore:
    """Assigns to each target its best queries, as many as prefer it to all other targets (MS-DETR,
    https://arxiv.org/abs/2401.03989). A query may serve several targets.

    A pair has the score S = w * IoU + (1 - w) * p, where p is the query's score for the target's
    class. Positives are the queries with a pair of at least the threshold, plus the best query of
    each target. Each target takes its best queries, as many as there are positives that have it as
    their best target, and at most k. These need not be the same positives, and a target that is
    nobody's best takes none.

    If there are more positives than the cap allows, only some count: not random ones, as in the
    published code, but always the same even spread over the query positions, so that a step can be
    repeated. Each block of a group is assigned separately.

    Args:
        topk: maximum number of queries of a target, k.
        threshold: of S, above 0.
        iou_weight: w, in [0, 1].
        cap: maximum share of positives among the queries, in (0, 1]; one always counts.
        last_wins: a query with several targets learns the class of the last one (DAC-DETR, Mr.
            DETR), otherwise of the one it fits best.
        grades: pass S to class losses that ask for the quality of a pair (LoRA-DETR), instead of
            letting them measure it.
        normaliser_factor: losses are divided by this times the number of objects.

    Raises:
        ValueError: an option is out of range.
    """

    hungarian: ClassVar[bool] = False
    assignment: ClassVar[None] = None
    capacity: ClassVar[tuple[int, ...]] = ()
    sums_blocks: ClassVar[bool] = True

    # Not a dataclass: LazyCall turns these into text that Detectron2 cannot write as Python again.
    def __init__(
        self,
        *,
        topk: int = 6,
        threshold: float = 0.4,
        iou_weight: float = 0.7,
        cap: float = 0.25,
        last_wins: bool = False,
        grades: bool = False,
        normaliser_factor: float = 1.0,
    ) -> None:
        if topk < 1:
            raise ValueError(f"topk={topk} must be at least 1.")
        for name, share in (("threshold", threshold), ("cap", cap)):
            if not 0 < share <= 1:
                raise ValueError(f"{name}={share} must lie in (0, 1].")
        if not 0 <= iou_weight <= 1:
            raise ValueError(f"iou_weight={iou_weight} must lie in [0, 1].")
        self.topk = topk
        self.threshold = threshold
        self.iou_weight = iou_weight
        self.cap = cap
        self.last_wins = last_wins
        self.grades = grades
        self.normaliser_factor = normaliser_factor

    def normaliser(self, step: Step) -> Tensor:
        return step.ground_truths * self.normaliser_factor

    @torch.no_grad()
    def assign(self, output: GroupOutput, scores: Scores, matched: Assignment | None) -> Pairs:
        blocks, valid = output.group.blocks, output.targets.valid
        score = self.score(output, scores)  # [L, B, G, Q]
        size = score.shape[3] // blocks
        score = score.unflatten(3, (blocks, size)).transpose(2, 3)  # [L, B, R, G, N]
        score = score.masked_fill(~valid[:, None, :, None], -1.0)
        best, queries = score.topk(min(self.topk, size), dim=-1)
        counts = self._counts(score, queries[..., :1], valid)[..., None]
        taken = torch.arange(best.shape[-1], device=best.device) < counts
        assignment = self._classes(score, queries, taken)
        first = torch.arange(blocks, device=best.device)[:, None, None] * size
        queries = (queries + first).masked_fill(~taken, BACKGROUND)
        return Pairs(
            queries.transpose(2, 3).flatten(3),
            assignment.flatten(2),
            quality=best.transpose(2, 3).flatten(3) if self.grades else None,
        )

    def score(self, output: GroupOutput, scores: Scores) -> Tensor:
        """S of all pairs, `Tensor[L, B, G, Q]` in [0, 1]."""
        fit = Fit.of(output, scores)
        return self.iou_weight * fit.iou + (1 - self.iou_weight) * fit.scores

    def _counts(self, score: Tensor, leaders: Tensor, valid: Tensor) -> Tensor:
        """How many positives prefer each target, `Tensor[L, B, R, G]`, from S
        `Tensor[L, B, R, G, N]` and the best query of each target `Tensor[L, B, R, G, 1]`.
        """
        best, target = score.max(3)  # [L, B, R, N]
        real = valid[:, None, :, None].expand_as(leaders).to(leaders.dtype)
        leads = torch.zeros_like(target).scatter_add(3, leaders.flatten(3), real.flatten(3))
        kept = self.keep((best >= self.threshold) | (leads > 0)).to(target.dtype)
        return target.new_zeros(score.shape[:4]).scatter_add(3, target, kept)

    def keep(self, positive: Tensor) -> Tensor:
        """The positives that count, `Tensor[..., N]` bool."""
        size = positive.shape[-1]
        most = max(1, int(self.cap * size + _ROUNDING))
        spread = (torch.arange(size, device=positive.device, dtype=torch.float64) * _GOLDEN) % 1
        order = spread.argsort()
        rank = positive[..., order].cumsum(-1)[..., order.argsort()]
        return positive & (rank <= most)

    def _classes(self, score: Tensor, queries: Tensor, taken: Tensor) -> Tensor:
        """The target whose class each query learns, `Tensor[L, B, R, N]`, from S
        `Tensor[L, B, R, G, N]` and the pairs `Tensor[L, B, R, G, k]`.
        """
        if self.last_wins:
            index = torch.arange(score.shape[3], device=score.device, dtype=score.dtype)
            score = index[:, None].expand_as(score)
        value = score.gather(4, queries).masked_fill(~taken, -1.0)
        over = score.new_full(score.shape, -1.0).scatter(4, queries, value)
        value, target = over.max(3)
        return torch.where(value >= 0, target, BACKGROUND)
