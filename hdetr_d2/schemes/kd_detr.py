"""KD-DETR (https://arxiv.org/abs/2211.08071): distillation on queries that a teacher has answered
too.
"""

import torch

from hdetr_d2.schemes.base import Context, Contribution, Scheme, check_at_least
from hdetr_d2.structures import Answered, Answers, Asked, Queries, QueryGroup, QueryTeacher


class KDDETR(Scheme):
    """Two groups of queries go through the decoders of teacher and student, and the student learns
    to give the teacher's answers: the teacher's own queries, and queries at random positions that
    are redrawn in every step. An answer is weighted by the teacher's score of its best object
    class.

    Args:
        teacher: provides its queries and answers.
        num_classes: number of classes.
        num_random: queries at random positions.
        weight: of the losses.
        name: of the group with the teacher's queries; the other group adds "_random".

    Raises:
        ValueError: fewer than one random query.
    """

    def __init__(
        self,
        *,
        teacher: QueryTeacher,
        num_classes: int,
        num_random: int = 300,
        weight: float = 1.0,
        name: str = "distilled",
    ) -> None:
        super().__init__(name)
        check_at_least(1, num_classes=num_classes, num_random=num_random)
        self.teacher = teacher
        self.num_classes = num_classes
        self.num_random = num_random
        self.weight = weight

    def contribute(self, context: Context) -> Contribution:
        content = context.main.queries.content
        shape, device = (len(content), self.num_random), content.device
        boxes = torch.rand(*shape, 4, device=device)
        content = torch.randn(*shape, content.shape[-1], device=device)
        others = Queries(content, context.embed_boxes(boxes), context.reference_at(boxes))
        asked = self.teacher(context.inputs, context.maps.frames, self.num_classes, others, boxes)
        names = (self.name, f"{self.name}_random")
        return Contribution([self._group(*pair) for pair in zip(names, asked, strict=True)])

    def _group(self, name: str, asked: Asked) -> QueryGroup:
        answers = Answers(asked.scores, asked.boxes, weights=asked.scores.amax(-1))
        return QueryGroup(
            name=name, queries=asked.queries, assigner=Answered(answers), weight=self.weight
        )
