"""The proposals of Faster R-CNN (https://arxiv.org/abs/1506.01497)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdetr_d2.projects.co_detr.anchors import Anchors, nine_anchors
from hdetr_d2.projects.co_detr.assigners import MaxIoU
from hdetr_d2.projects.co_detr.box_coder import DeltaCoder
from hdetr_d2.projects.co_detr.boxes import box_sides, clip_boxes
from hdetr_d2.projects.co_detr.draw import Draw
from hdetr_d2.projects.co_detr.heads.predictor import rows_of_anchors, start_convolution
from hdetr_d2.projects.co_detr.heads.proposals import Proposals, ProposalSelection
from hdetr_d2.projects.co_detr.levels import best_of_levels, level_of
from hdetr_d2.projects.co_detr.pyramid import Pyramid
from hdetr_d2.projects.co_detr.sampling import sample
from hdetr_d2.projects.co_detr.targets import PixelTargets
from hdetr_d2.structures import BACKGROUND, NO_LOSS


class Objectness(NamedTuple):
    """For all anchors. logits: `Tensor[B, N, 1]`. deltas: `Tensor[B, N, 4]`."""

    logits: Tensor
    deltas: Tensor
    anchors: Anchors


class RegionProposalNetwork(nn.Module):
    """Proposes class-agnostic boxes from nine anchors per cell.

    The suppression runs image by image and waits for the device, because the number of boxes it
    leaves is not known before: it is the only part of a training step that does.

    Args:
        dim: channels C of the maps.
        num_samples: anchors per image that have a loss, at most half of them with a target.
        train: selects proposals in training; None for up to 1000 of the best 4000 of each level.
        test: selects proposals in evaluation; None for up to 1000 of the best 1000.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_samples: int = 256,
        train: ProposalSelection | None = None,
        test: ProposalSelection | None = None,
    ) -> None:
        super().__init__()
        self.shapes = nine_anchors()
        self.coder = DeltaCoder()
        self.assigner = MaxIoU(positive=0.7, negative=0.3, rescue=0.3)
        self.num_samples = num_samples
        self.train_selection = train or ProposalSelection(per_level=4000)
        self.test_selection = test or ProposalSelection(per_level=1000)
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)
        self.class_conv = nn.Conv2d(dim, len(self.shapes), 1)
        self.box_conv = nn.Conv2d(dim, 4 * len(self.shapes), 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                start_convolution(module)

    def forward(
        self, pyramid: Pyramid, targets: PixelTargets, draw: Draw
    ) -> tuple[dict[str, Tensor], Proposals]:
        """The losses "class_rpn" and "bbox_rpn" of a training step, and its proposals."""
        found = self._objectness(pyramid)
        losses = self._losses(found, targets, draw)
        return losses, self._best(found, pyramid.sizes, self.train_selection)

    def propose(self, pyramid: Pyramid) -> Proposals:
        """The proposals in evaluation."""
        return self._best(self._objectness(pyramid), pyramid.sizes, self.test_selection)

    def _objectness(self, pyramid: Pyramid) -> Objectness:
        hidden = [self.conv(map_).relu() for map_ in pyramid.maps]
        return Objectness(
            rows_of_anchors([self.class_conv(x) for x in hidden], 1),
            rows_of_anchors([self.box_conv(x) for x in hidden], 4),
            self.shapes.at(pyramid.cells),
        )

    def _losses(self, found: Objectness, targets: PixelTargets, draw: Draw) -> dict[str, Tensor]:
        anchors = found.anchors
        assignment = self.assigner(anchors.boxes, anchors.valid, targets)
        some = sample(assignment, self.num_samples // 2, self.num_samples, draw)
        positive, negative = some.assignment >= 0, some.assignment == BACKGROUND
        count = sum(kind.sum(1).clamp(min=1).sum() for kind in (positive, negative))
        logits, boxes = some.pick(found.logits)[..., 0], anchors.boxes[some.rows]
        wanted = self.coder.encode(boxes, targets.boxes_of(some.assignment, boxes))
        distances = (some.pick(found.deltas) - wanted).abs().sum(-1) * positive
        objectness = F.binary_cross_entropy_with_logits(
            logits, positive.float(), (some.assignment != NO_LOSS).float(), reduction="sum"
        )
        return {"class_rpn": objectness / count, "bbox_rpn": distances.sum() / count}

    @torch.no_grad()
    def _best(
        self, found: Objectness, sizes: Sequence[tuple[int, int]], selection: ProposalSelection
    ) -> Proposals:
        anchors = found.anchors
        scores, rows = best_of_levels(found.logits[..., 0], anchors.lengths, selection.per_level)
        deltas = found.deltas.gather(1, rows[..., None].expand(-1, -1, 4))
        boxes = clip_boxes(self.coder.decode(anchors.boxes[rows], deltas), sizes)
        scores = scores.masked_fill((box_sides(boxes) <= 0).any(-1), -float("inf"))
        images = zip(boxes, scores, level_of(rows, anchors.lengths), strict=True)
        kept = [selection.suppress(*image) for image in images]
        return Proposals(*map(torch.stack, zip(*kept, strict=True)))
