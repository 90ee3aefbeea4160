"""KD-DETR (https://arxiv.org/abs/2211.08071): queries that a teacher has answered, too."""

import torch

from hdetr_d2.schemes.base import Context, Contribution, Scheme, check_at_least
from hdetr_d2.structures import Answered, Answers, Asked, Queries, QueryGroup, QueryTeacher


class KDDETR(Scheme):
    """Two groups of queries go through both decoders, and the student learns to say what the
    teacher says: the teacher's own queries, and others at random places, drawn in every step. An
    answer counts by the teacher's score of its best class, as far as it is of an object.

    Args:
        teacher: gives its queries and the answers.
        num_classes: of the targets.
        num_random: queries at random places.
        weight: of the losses.
        name: of the group with the teacher's queries, and before "_random" of the other one.

    Raises:
        ValueError: no random query.
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
