"""The words of this project as types. Shapes: L layers, B images, Q queries, G targets, K classes,
C channels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import torch
from detectron2.structures import BitMasks, Instances, PolygonMasks
from torch import Tensor

from hdetr_d2.errors import UserError

BACKGROUND = -1
"""In an `Assignment`: the query has no target and learns to be background."""

NO_LOSS = -2
"""In an `Assignment`: the query is padding and has no loss at all."""

Assignment: TypeAlias = Tensor
"""`Tensor[L, B, Q]` int64: for each query the index of its target, `BACKGROUND` or `NO_LOSS`."""


@dataclass
class Targets:
    """The ground truth of a batch, padded to the image with the most objects (at least 1).

    labels: `Tensor[B, G]` int64. boxes: `Tensor[B, G, 4]` cxcywh in [0, 1] of the image without
    padding. valid: `Tensor[B, G]` bool, the real ones come first. masks: `Tensor[B, G, H, W]` bool
    in pixels of the largest image of the batch, false in the padding; None where nothing learns
    them.
    """

    labels: Tensor
    boxes: Tensor
    valid: Tensor
    masks: Tensor | None = None

    @property
    def counts(self) -> Tensor:
        """`Tensor[B]` int64: objects of each image."""
        return self.valid.sum(1)

    def class_agnostic(self) -> "Targets":
        """The same targets with every label 0, as two-stage proposals are trained."""
        return replace(self, labels=torch.zeros_like(self.labels))

    @classmethod
    def from_inputs(
        cls,
        batched_inputs: Sequence[dict],
        num_classes: int,
        device: torch.device,
        with_masks: bool = False,
    ) -> "Targets":
        """Targets from Detectron2's training inputs (`instances` with `gt_boxes`, `gt_classes` and
        for `with_masks` also `gt_masks`, bitmaps or polygons).

        The tensors are checked and padded where the loader left them and travel to `device` once.

        Raises:
            UserError: an input without instances, a label outside [0, num_classes), a box that is
                not finite or has no area, masks that are missing or not of the image's size; the
                sentence names the image.
        """
        per_image = [_target_tensors(item, num_classes) for item in batched_inputs]
        most = max([1, *(len(labels) for labels, _ in per_image)])
        counts = torch.tensor([len(labels) for labels, _ in per_image])
        labels = torch.stack([_pad_rows(labels, most) for labels, _ in per_image])
        boxes = torch.stack([_pad_rows(boxes, most) for _, boxes in per_image])
        valid = torch.arange(most) < counts[:, None]
        parts = [labels, boxes, valid.to(labels.device)]
        if with_masks:
            parts.append(_pad_masks([_masks_of(item) for item in batched_inputs], most))
        return cls(*(part.to(device, non_blocking=True) for part in parts))


def _pad_rows(rows: Tensor, length: int) -> Tensor:
    return torch.cat([rows, rows.new_zeros(length - len(rows), *rows.shape[1:])])


def _pad_masks(masks: Sequence[Tensor], length: int) -> Tensor:
    """Masks `Tensor[G_i, H_i, W_i]` of each image as `Tensor[B, length, H, W]`."""
    height, width = (max(m.shape[axis] for m in masks) for axis in (1, 2))
    padded = masks[0].new_zeros(len(masks), length, height, width)
    for row, given in zip(padded, masks, strict=True):
        row[: len(given), : given.shape[1], : given.shape[2]] = given
    return padded


def _name(item: dict) -> str:
    return f"image {item.get('image_id', '?')} ({item.get('file_name', 'no file name')})"


def _masks_of(item: dict) -> Tensor:
    """The masks `Tensor[G, H, W]` bool of one input, polygons filled on the host."""
    instances: Instances = item["instances"]
    height, width = instances.image_size
    if not len(instances):  # without objects, Detectron2's mappers leave masks out
        return instances.gt_classes.new_zeros(0, height, width, dtype=torch.bool)
    if not instances.has("gt_masks"):
        raise UserError(
            f"{_name(item)} has no 'gt_masks', which a model with a mask head learns: "
            "set dataloader.train.mapper.with_masks=true."
        )
    masks = instances.gt_masks
    if isinstance(masks, PolygonMasks):
        masks = BitMasks.from_polygon_masks(masks, height, width)
    if tuple(masks.tensor.shape[1:]) != (height, width):
        raise UserError(
            f"{_name(item)} has {height} x {width} pixels, but masks of "
            f"{' x '.join(map(str, masks.tensor.shape[1:]))}."
        )
    return masks.tensor


def _target_tensors(item: dict, num_classes: int) -> tuple[Tensor, Tensor]:
    """Labels and normalised cxcywh boxes of one input, checked."""
    where = _name(item)
    if "instances" not in item:
        raise UserError(f"{where} has no 'instances', which training needs.")
    instances: Instances = item["instances"]
    height, width = instances.image_size
    labels, xyxy = instances.gt_classes, instances.gt_boxes.tensor.float()
    # A check reads values on the host: it is free for a loader's tensors and left out for others.
    if labels.device.type == "cpu":
        _check_target(labels, xyxy, num_classes, where)
    x0, y0, x1, y1 = (xyxy / xyxy.new_tensor([width, height, width, height])).unbind(-1)
    boxes = torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], -1)
    return labels, boxes


def _check_target(labels: Tensor, xyxy: Tensor, num_classes: int, where: str) -> None:
    outside = (labels < 0) | (labels >= num_classes)
    if outside.any():
        raise UserError(
            f"{where} has the label {labels[outside][0].item()}, but the model knows the classes "
            f"0 to {num_classes - 1}: check data.num_classes and the annotation file."
        )
    broken = ~torch.isfinite(xyxy).all(1) | (xyxy[:, 2:] <= xyxy[:, :2]).any(1)
    if broken.any():
        raise UserError(
            f"{where} has the box {xyxy[broken][0].tolist()} (x0, y0, x1, y1), "
            "which is not finite or has no area."
        )


@dataclass
class Memory:
    """What the encoder leaves for the decoder: all levels flattened one after the other.

    tokens: `Tensor[B, S, C]`. padding: `Tensor[B, S]` bool, True in the padded part. shapes: (H, W)
    of each level, on the host. valid_ratios: `Tensor[B, L, 2]`, the share (x, y) of a level that
    the image fills. position: of the tokens, `Tensor[B, S, C]`; None where the decoder asks for
    none.
    """

    tokens: Tensor
    padding: Tensor
    shapes: tuple[tuple[int, int], ...]
    valid_ratios: Tensor
    position: Tensor | None = None

    def level(self, index: int) -> tuple[Tensor, Tensor]:
        """Tokens `Tensor[B, H * W, C]` and padding `Tensor[B, H * W]` of one level; -1 is the
        coarsest.
        """
        sizes = [height * width for height, width in self.shapes]
        return self.tokens.split(sizes, 1)[index], self.padding.split(sizes, 1)[index]


@dataclass
class Queries:
    """What the query selection makes: decoder input that has no task yet.

    content: `Tensor[B, Q, C]`. position: `Tensor[B, Q, C]`; None where the decoder makes one of the
    references in every layer. reference: `Tensor[B, Q, 2 or 4]` in [0, 1], (cx, cy) or cxcywh; None
    for a decoder whose queries start at no place. All queries of a step have the same parts.
    """

    content: Tensor
    position: Tensor | None
    reference: Tensor | None

    def map(self, change: Callable[[Tensor], Tensor]) -> "Queries":
        """The queries with every part changed."""
        parts = (self.content, self.position, self.reference)
        return Queries(*(None if part is None else change(part) for part in parts))  # type: ignore[arg-type]

    @classmethod
    def join(cls, rows: "Sequence[Queries]") -> "Queries":
        """Those of all rows, one row after the other."""

        def cat(parts: Sequence[Tensor | None]) -> Tensor | None:
            given = [part for part in parts if part is not None]
            return torch.cat(given, 1) if given else None

        return cls(
            torch.cat([queries.content for queries in rows], 1),
            cat([queries.position for queries in rows]),
            cat([queries.reference for queries in rows]),
        )


@dataclass
class Match:
    """An assigner: Hungarian matching; in layer l a target may take `capacity[l]` queries."""

    capacity: tuple[int, ...]

    def targets_each(self) -> tuple[int, ...]:
        """How often a ground truth counts in the normaliser of each layer."""
        return self.capacity


@dataclass
class Given:
    """An assigner that already knows its answer (denoising, positive queries of another head).

    assignment: `Tensor[L, B, Q]`. repeats: how often a ground truth counts in the normaliser.
    """

    assignment: Assignment
    repeats: int

    def targets_each(self) -> tuple[int, ...]:
        return (self.repeats,) * self.assignment.shape[0]


class AttentionBias(Protocol):
    """What a group adds to the scores of its self-attention, asked in every decoder layer. A module
    that learns belongs to the scheme that makes the group.
    """

    def __call__(
        self,
        layer: int,
        content: Tensor,
        position: Tensor,
        reference: Tensor | None,
        logits: Tensor | None,
    ) -> Tensor | None:
        """The bias of `layer`, `Tensor[B, N, N]`, rows for the queries that look and columns for
        those that are seen, the same for all heads; None for a layer without one.

        Args:
            layer: of the decoder, from 0 on.
            content, position: `Tensor[B, N, C]`, as they enter the self-attention.
            reference: where the queries stand, `Tensor[B, N, 2 or 4]` (cx, cy) or cxcywh in [0, 1];
                of a decoder without references the boxes of the layer before, None in layer 0.
            logits: of the layer before, `Tensor[B, N, K]`; None in layer 0.
        """


@dataclass
class QueryGroup:
    """A named set of queries that goes through the decoder and sees itself, and what it `sees`.

    name: the suffix of its losses, "" for the main group. queries: the decoder's input. assigner:
    how the queries find their targets. weight: of all of its losses. blocks: the Q queries are so
    many equal blocks, one after the other, that are blind to each other; each is matched with all
    targets, and the losses are the sum over the blocks. sees: names of other groups whose queries
    are further keys for its own in self-attention; they do not see it. attention_bias: of the
    scores of its self-attention, for groups of one block that see themselves alone.

    Raises:
        ValueError: queries that cannot be divided into the blocks, or a bias where it has no place.
    """

    name: str
    queries: Queries
    assigner: Match | Given
    weight: float = 1.0
    blocks: int = 1
    sees: tuple[str, ...] = ()
    attention_bias: AttentionBias | None = None

    def __post_init__(self) -> None:
        queries = self.queries.content.shape[1]
        if queries % self.blocks:
            raise ValueError(
                f"The group {self.name!r} cannot have {queries} queries in {self.blocks} blocks."
            )
        if self.attention_bias is not None and (self.blocks > 1 or self.sees):
            raise ValueError(
                f"The group {self.name!r} cannot have an attention bias: it has {self.blocks} "
                f"blocks and sees {list(self.sees)}, and a bias is for one block that sees itself."
            )

    @property
    def layout(self) -> tuple[int, int]:
        """The number of blocks, and of the queries of each."""
        return self.blocks, self.queries.content.shape[1] // self.blocks


@dataclass
class Predictions:
    """What a group predicts, all layers stacked.

    logits: `Tensor[L, B, Q, K]`. boxes: `Tensor[L, B, Q, 4]` cxcywh in [0, 1]. states: what the
    heads read in the last decoder layer, `Tensor[B, Q, C]`; None for proposals.
    """

    logits: Tensor
    boxes: Tensor
    states: Tensor | None = None

    def split(self, lengths: Sequence[int]) -> "list[Predictions]":
        """Those of one row of queries after the other."""
        parts = [self.logits.split([*lengths], 2), self.boxes.split([*lengths], 2)]
        if self.states is not None:
            parts.append(self.states.split([*lengths], 1))
        return [Predictions(*part) for part in zip(*parts, strict=True)]


@dataclass
class Output:
    """The predictions of one group beside what they learn; matcher and criterion read nothing else.

    name: the suffix of the losses, "" for the main group. predictions: of the group. targets: the
    ground truth, the same boxes for every group of a step. assigner, weight, blocks: as in
    `QueryGroup`.
    """

    name: str
    predictions: Predictions
    targets: Targets
    assigner: Match | Given
    weight: float = 1.0
    blocks: int = 1
