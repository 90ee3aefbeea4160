"""A trained detector of this project that answers queries, its own and others."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from hdetr_d2.errors import UserError
from hdetr_d2.modeling import DETR
from hdetr_d2.modeling.scheme_parts import main_group
from hdetr_d2.structures import Asked, Predictions, Queries, QueryGroup
from hdetr_d2.teachers.checkpointed import CheckpointTeacher, Frames, from_frames


class DecoderTeacher(CheckpointTeacher):
    """A `QueryTeacher`: a checkpoint's model, applied to the student's images. Its answers are the
    predictions of its last layer.
    """

    @torch.no_grad()
    def __call__(
        self,
        inputs: Sequence[dict],
        frames: Frames,
        num_classes: int,
        others: Queries,
        boxes: Tensor,
    ) -> tuple[Asked, Asked]:
        """
        Raises:
            UserError: it has another number of classes, or queries of another form.
        """
        model = self.detector(num_classes, boxes.device)
        maps = model.encode([item["image"] for item in inputs])
        own = model.query_selection(maps.memory).main
        if (mine := _kind(own)) != (wanted := _kind(others)):
            raise UserError(
                f"the queries of the teacher {self.checkpoint} have {mine}, but those of the "
                f"student {wanted}: they can answer the same ones only if these are of one kind"
            )
        given = _at(others, from_frames(boxes, frames, maps.frames).clamp(max=1), model)
        main = main_group(model.schemes, own, model.decoder.num_layers)
        further = QueryGroup(name="others", queries=given, assigner=main.assigner)
        answers = model.decoder([main, further], maps.memory)
        first, second = (
            _asked(queries, predictions, model, (maps.frames, frames))
            for queries, predictions in zip((own, given), answers, strict=True)
        )
        return first, second


def _kind(queries: Queries) -> str:
    """What a decoder must support to accept them."""
    position = "no position" if queries.position is None else "a position"
    numbers = 0 if queries.reference is None else queries.reference.shape[-1]
    return f"{queries.content.shape[-1]} channels, {position} and a reference of {numbers} numbers"


def _at(others: Queries, boxes: Tensor, model: DETR) -> Queries:
    """The queries at `Tensor[B, Q, 4]`, placed as by the model."""
    reference = others.reference
    return replace(
        others,
        position=model.query_selection.embed_boxes(boxes),
        reference=None if reference is None else boxes[..., : reference.shape[-1]],
    )


def _asked(
    queries: Queries, predictions: Predictions, model: DETR, frames: tuple[Frames, Frames]
) -> Asked:
    """Queries and answers normalised to the second frames instead of the first ones."""
    reference = queries.reference
    if reference is not None:
        whole = torch.cat([reference, reference], -1)[..., :4]
        reference = from_frames(whole, *frames)[..., : reference.shape[-1]].clamp(max=1)
    boxes = from_frames(predictions.boxes[-1].float(), *frames)
    return Asked(replace(queries, reference=reference), model.scores(predictions), boxes)
