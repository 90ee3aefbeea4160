"""A trained detector of this project that looks at the images of every step."""

from collections.abc import Sequence

import torch

from hdetr_d2.errors import UserError
from hdetr_d2.inference.loading import open_checkpoint
from hdetr_d2.modeling import DETR
from hdetr_d2.structures import Lesson, Targets
from hdetr_d2.teachers.frozen import Frozen
from hdetr_d2.utils.device import to_device


class DetectorTeacher(Frozen[DETR]):
    """A `BoxTeacher`: a checkpoint's model, on the images that the student gets."""

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
            checkpoint: a file that train_net.py wrote.
            num_boxes: of an image, at most; of pairs of a query and a class the best.
            threshold: scores of boxes that are taught are at least so high.
            trust: more packages whose parts the checkpoint may be made of, see `Predictor`.
        """
        self.checkpoint = checkpoint
        self.num_boxes = num_boxes
        self.threshold = threshold
        self.trust = tuple(trust)

    def build(self, device: torch.device) -> DETR:
        """See `Frozen`."""
        return open_checkpoint(self.checkpoint, str(device), self.trust).model  # type: ignore[return-value]

    def knows(self, inputs: Sequence[dict]) -> bool:
        """See `BoxTeacher`: it looks for itself."""
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
            UserError: it knows another number of classes.
        """
        model = self.net(device)
        if model.num_classes != num_classes:
            raise UserError(
                f"the teacher {self.checkpoint} knows {model.num_classes} classes, but "
                f"{num_classes} are learned"
            )
        maps = model.encode([item["image"] for item in inputs])
        predictions = model.predict(maps.memory)
        best = model.scores(predictions).flatten(1)
        best, pairs = best.topk(min(self.num_boxes, best.shape[1]))  # [B, G]
        queries = (pairs // num_classes)[..., None].expand(-1, -1, 4)
        boxes = predictions.boxes[-1].float().gather(1, queries)
        boxes = boxes * to_device(_ratios(maps.frames, frames), boxes)
        valid = (best >= self.threshold) & (boxes[..., 2:] > 0).all(-1)
        # A box without area may stand among the others: those that count come first.
        order = valid.sort(dim=1, descending=True, stable=True).indices
        labels, best, valid = (each.gather(1, order) for each in (pairs % num_classes, best, valid))
        boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
        return Lesson(Targets(labels, boxes, valid), torch.where(valid, best, 0.0))


def _ratios(
    given: Sequence[tuple[int, int]], wanted: Sequence[tuple[int, int]]
) -> list[list[list[float]]]:
    """What boxes cxcywh relative to one frame (H, W) become relative to another, [B, 1, 4]."""
    return [
        [[width / w, height / h] * 2] for (height, width), (h, w) in zip(given, wanted, strict=True)
    ]
