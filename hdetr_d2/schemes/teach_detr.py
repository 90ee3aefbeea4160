"""Teach-DETR (https://arxiv.org/abs/2211.11953): the boxes found by a teacher serve as additional
targets.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hdetr_d2.matching.inverse import queries_of_targets
from hdetr_d2.schemes.base import Context, Contribution, Scheme, check_at_least
from hdetr_d2.structures import (
    BACKGROUND,
    MAIN,
    Assignment,
    BoxTeacher,
    FurtherTask,
    GroupOutput,
    Lesson,
    Match,
    Pairs,
    Scores,
    Step,
    by_query,
)
from hdetr_d2.utils.distributed import mean_over_processes


class TeachDETR(Scheme):
    """The main queries are also matched one-to-one with the teacher's boxes. The losses of a query
    are weighted by the score of its box.

    Args:
        teacher: provides the boxes.
        num_classes: number of classes.
        background: weight, in the class loss, of queries that are not matched to any of its boxes.
        weight: of its losses.
        name: of its losses.
    """

    def __init__(
        self,
        *,
        teacher: BoxTeacher,
        num_classes: int,
        background: float = 0.5,
        weight: float = 1.0,
        name: str = "teacher",
    ) -> None:
        super().__init__(name)
        check_at_least(1, num_classes=num_classes)
        self.teacher = teacher
        self.num_classes = num_classes
        self.background = background
        self.weight = weight

    def contribute(self, context: Context) -> Contribution:
        if not (self.training or self.teacher.knows(context.inputs)):
            # A teacher may have nothing to say about validation data, whose losses are computed too
            return Contribution()
        device = context.targets.labels.device
        lesson = self.teacher(context.inputs, context.maps.frames, self.num_classes, device)
        task = FurtherTask(
            name=self.name,
            of=MAIN,
            assigner=Taught((1,) * context.num_layers, lesson, self.background),
            weight=self.weight,
            targets=lesson.targets,
        )
        return Contribution(tasks=[task])


@dataclass
class Taught(Match):
    """An assigner: Hungarian matching with a teacher's boxes. Losses are weighted by the boxes'
    scores and divided by the number of boxes.
    """

    lesson: Lesson
    background: float

    def assign(self, output: GroupOutput, scores: Scores, matched: Assignment | None) -> Pairs:
        assignment = by_query(super().assign(output, scores, matched))
        layers = len(assignment)
        of_boxes = self.lesson.scores[None].expand(layers, -1, -1)  # [L, B, G]
        at_queries = of_boxes.gather(2, assignment.clamp(min=0))
        importance = torch.where(assignment >= 0, at_queries, self.background)
        first, is_learned = queries_of_targets(assignment.flatten(0, 1), of_boxes.shape[2])
        queries = torch.where(is_learned, first, BACKGROUND).unflatten(0, (layers, -1))
        return Pairs(queries[..., None], assignment, of_boxes[..., None], importance=importance)

    def normaliser(self, step: Step) -> Tensor:
        """The rest of the step is assumed to have as many as these images."""
        found = self.lesson.targets.valid.sum().to(step.ground_truths.dtype)
        return mean_over_processes(found) / step.share
