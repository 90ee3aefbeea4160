"""The second stage of Faster R-CNN (https://arxiv.org/abs/1506.01497)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from detectron2.structures import Instances
from torch import Tensor, nn

from hdetr_d2.layers import Linear
from hdetr_d2.projects.co_detr.assigners import MaxIoU
from hdetr_d2.projects.co_detr.box_coder import DeltaCoder
from hdetr_d2.projects.co_detr.boxes import clip_boxes
from hdetr_d2.projects.co_detr.detection import Suppress, Suppression
from hdetr_d2.projects.co_detr.draw import Draw
from hdetr_d2.projects.co_detr.heads.base import Candidates, HeadOutput
from hdetr_d2.projects.co_detr.heads.predictor import tower
from hdetr_d2.projects.co_detr.heads.proposals import Proposals
from hdetr_d2.projects.co_detr.heads.roi_pooling import pool_boxes
from hdetr_d2.projects.co_detr.losses import giou_loss
from hdetr_d2.projects.co_detr.pyramid import Pyramid
from hdetr_d2.projects.co_detr.sampling import Sample, sample
from hdetr_d2.projects.co_detr.targets import PixelTargets
from hdetr_d2.structures import NO_LOSS, Assignment

_POOLED = 7
_NORM_GROUPS = 32


class RoIHead(nn.Module):
    """Pools the features of proposals, and predicts their class and, per class, a refined box.

    The defaults are Faster R-CNN's; Co-DETR on a ViT has `num_convs=4, num_hidden=1,
    class_agnostic=True, stds=(0.05, 0.05, 0.1, 0.1)`.

    Args:
        dim: channels C of the maps.
        num_classes: K.
        num_levels: number of maps to pool from, the finest ones.
        num_convs: on the pooled maps.
        num_hidden: fully connected layers after them, at least one.
        hidden_dim: their channels.
        class_agnostic: predict one box for all classes.
        stds: divisors of the four deltas of a box.
        num_samples: proposals per image that have a loss, at most a quarter of them with a target.
            The targets themselves are added to the proposals.
        suppression: creates detections; None for up to 100 with an IoU below one half.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_classes: int,
        num_levels: int,
        num_convs: int = 0,
        num_hidden: int = 2,
        hidden_dim: int = 1024,
        class_agnostic: bool = False,
        stds: Sequence[float] = (0.1, 0.1, 0.2, 0.2),
        num_samples: int = 512,
        suppression: Suppress | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_levels = num_levels
        self.num_samples = num_samples
        self.assigner = MaxIoU(positive=0.5, negative=0.5)
        self.coder = DeltaCoder(stds=stds)
        self.suppression = suppression or Suppression(iou=0.5)
        self.convs = tower(dim, num_convs, _NORM_GROUPS)
        widths = [_POOLED**2 * dim] + [hidden_dim] * num_hidden
        layers = [nn.Sequential(Linear(*pair), nn.ReLU()) for pair in pairwise(widths)]
        self.hidden = nn.Sequential(*(part for layer in layers for part in layer))
        self.class_layer = Linear(hidden_dim, num_classes + 1)
        self.box_layer = Linear(hidden_dim, 4 * (1 if class_agnostic else num_classes))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.class_layer.weight, std=0.01)
        nn.init.normal_(self.box_layer.weight, std=0.001)

    def forward(
        self, pyramid: Pyramid, proposals: Proposals, targets: PixelTargets, draw: Draw
    ) -> HeadOutput:
        """The losses "class" and "giou" of a training step. The candidates are the sampled
        proposals, positives first, truncated to the image with the fewest.
        """
        boxes = torch.cat([targets.boxes, proposals.boxes], 1)
        assignment = self._assign(proposals, targets)
        some = sample(assignment, self.num_samples // 4, self.num_samples, draw)
        boxes = some.pick(boxes)
        pooled = self._pool(pyramid, boxes, some.assignment != NO_LOSS)
        losses = self._losses(*self._predict(pooled), boxes, some, targets)
        features = pooled.mean((2, 3)).unflatten(0, boxes.shape[:2])
        return HeadOutput(losses, Candidates(boxes, features, _truncated(some.assignment)))

    def detect(self, pyramid: Pyramid, proposals: Proposals) -> list[Instances]:
        """The detections of each image."""
        pooled = self._pool(pyramid, *proposals)
        logits, deltas = self._predict(pooled)
        shape = proposals.valid.shape
        scores = logits.softmax(-1)[:, :-1].unflatten(0, shape) * proposals.valid[..., None]
        boxes = self.coder.decode(proposals.boxes[:, :, None], deltas.unflatten(0, shape))
        boxes = boxes.expand(-1, -1, self.num_classes, -1)
        boxes = clip_boxes(boxes.flatten(1, 2), pyramid.sizes)
        classes = torch.arange(self.num_classes, device=scores.device).repeat(shape[1])
        images = zip(boxes, scores.flatten(1), pyramid.sizes, strict=True)
        return [self.suppression(box, score, classes, size) for box, score, size in images]

    def _assign(self, proposals: Proposals, targets: PixelTargets) -> Assignment:
        """The assignment of the targets, each to itself, followed by that of the proposals."""
        places = torch.arange(targets.valid.shape[1], device=targets.valid.device)
        own = torch.where(targets.valid, places, NO_LOSS)
        return torch.cat([own, self.assigner(*proposals, targets)], 1)

    def _pool(self, pyramid: Pyramid, boxes: Tensor, valid: Tensor) -> Tensor:
        levels = slice(self.num_levels)
        return pool_boxes(pyramid.maps[levels], pyramid.strides[levels], boxes, valid, _POOLED)

    def _predict(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Features `Tensor[R, C, 7, 7]` to logits `Tensor[R, K + 1]`, background last, and deltas
        `Tensor[R, K, 4]`, or `Tensor[R, 1, 4]` if class-agnostic.
        """
        hidden = self.hidden(self.convs(pooled).flatten(1))
        deltas = self.box_layer(hidden).float().unflatten(1, (-1, 4))
        return self.class_layer(hidden).float(), deltas

    def _losses(
        self, logits: Tensor, deltas: Tensor, boxes: Tensor, some: Sample, targets: PixelTargets
    ) -> dict[str, Tensor]:
        labels = targets.labels_of(some.assignment)
        learned, positive = labels != NO_LOSS, labels >= 0
        classes = torch.where(positive, labels, self.num_classes).flatten()
        entropy = F.cross_entropy(logits, classes, reduction="none") * learned.flatten()
        own = labels.clamp(0, deltas.shape[1] - 1).flatten()[:, None, None].expand(-1, 1, 4)
        deltas = deltas.gather(1, own)[:, 0].unflatten(0, labels.shape)
        better = self.coder.decode(boxes, deltas).where(positive[..., None], boxes)
        wanted = targets.boxes_of(some.assignment, boxes)
        count = learned.sum().clamp(min=1)
        giou = giou_loss(better, wanted, positive.float())
        return {"class": entropy.sum() / count, "giou": 10.0 * giou / count}


def _truncated(assignment: Assignment) -> Assignment:
    """Truncates every image to the number of rows of the image with the fewest."""
    fewest = (assignment != NO_LOSS).sum(1).amin()
    places = torch.arange(assignment.shape[1], device=assignment.device)
    return assignment.masked_fill(places >= fewest, NO_LOSS)
