"""A trained detector of this project that is applied to the images of every step."""

from collections.abc import Sequence

import torch

from hdetr_d2.structures import Lesson, Targets
from hdetr_d2.teachers.checkpointed import CheckpointTeacher, from_frames


class DetectorTeacher(CheckpointTeacher):
    """A `BoxTeacher`: a checkpoint's model, applied to the student's images."""

    def __init__(
        self,
        checkpoint: str,
        *,
        num_boxes: int = 100,
        threshold: float = 0.3,
        trust: Sequence[str] = (),
    ) -> None:
        """
        Args:
            checkpoint, trust: see `CheckpointTeacher`.
            num_boxes: maximum number of boxes per image; the best query-class pairs.
            threshold: minimum score.
        """
        super().__init__(checkpoint, trust)
        self.num_boxes = num_boxes
        self.threshold = threshold

    def knows(self, inputs: Sequence[dict]) -> bool:
        """See `BoxTeacher`: it processes any image."""
        return True

    @torch.no_grad()
    def __call__(
        self,
        inputs: Sequence[dict],
        frames: Sequence[tuple[int, int]],
        num_classes: int,
        device: torch.device,
    ) -> Lesson:
        """
        Raises:
            UserError: it has another number of classes.
        """
        model = self.detector(num_classes, device)
        maps = model.encode([item["image"] for item in inputs])
        predictions = model.predict(maps.memory)
        best = model.scores(predictions).flatten(1)
        best, pairs = best.topk(min(self.num_boxes, best.shape[1]))  # [B, G]
        queries = (pairs // num_classes)[..., None].expand(-1, -1, 4)
        boxes = predictions.boxes[-1].float().gather(1, queries)
        boxes = from_frames(boxes, maps.frames, frames)
        valid = (best >= self.threshold) & (boxes[..., 2:] > 0).all(-1)
        # Boxes without area may be among the others: valid ones come first.
        order = valid.sort(dim=1, descending=True, stable=True).indices
        labels, best, valid = (each.gather(1, order) for each in (pairs % num_classes, best, valid))
        boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
        return Lesson(Targets(labels, boxes, valid), torch.where(valid, best, 0.0))
