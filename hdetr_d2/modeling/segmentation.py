"""From the mask logits of queries to masks in pixels of the original images."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from hdetr_d2.modeling.mask_head import MaskHead
from hdetr_d2.modeling.panoptic import PanopticMerger
from hdetr_d2.structures import ImageMaps, Outline, Predictions, ScaledMasks

_AT_ONCE = 20
"""Masks that are computed together: as many of a large image fit into memory anywhere."""


def add_masks(
    outputs: Sequence[dict],
    head: MaskHead,
    predictions: Predictions,
    maps: ImageMaps,
    outlines: Sequence[Outline],
) -> None:
    """Gives the detections of each image their `pred_masks`, `ScaledMasks` in pixels of the
    original image.

    Args:
        outputs: of each image {"instances": Instances} with `pred_queries`.
        predictions: of the main queries.
        outlines: of the original images in the fed ones.
    """
    each = zip(outputs, maps.sizes, outlines, strict=True)
    for index, (output, size, outline) in enumerate(each):
        instances = output["instances"]
        # A query may be there with several classes.
        queries, place = instances.pred_queries.unique(return_inverse=True)
        masks = [queries.new_zeros(0, *size, dtype=torch.bool)]
        masks += [logits > 0 for logits in _logits(head, predictions, queries, maps, index, size)]
        # Nearest pixels of what is a mask already, as in DETR.
        small = outline.pixels(torch.cat(masks), False)[place]
        instances.pred_masks = ScaledMasks(small, instances.image_size)


def add_panoptic(
    outputs: Sequence[dict],
    head: MaskHead,
    merger: PanopticMerger,
    scores: Tensor,
    predictions: Predictions,
    maps: ImageMaps,
    outlines: Sequence[Outline],
) -> None:
    """Gives each image its "panoptic_seg", what `merger` makes of its queries.

    Args:
        outputs: of each image {"instances": Instances}, which know the original size.
        scores: `Tensor[B, Q, K]`.
        predictions: of the main queries.
        outlines: of the original images in the fed ones.
    """
    each = zip(outputs, maps.sizes, outlines, strict=True)
    for index, (output, size, outline) in enumerate(each):
        queries, best, labels = merger.select(scores[index])
        parts = _logits(head, predictions, queries, maps, index, size)
        logits = outline.pixels(torch.cat([best.new_zeros(0, *size), *parts]), -math.inf)
        output["panoptic_seg"] = merger(logits, best, labels, output["instances"].image_size)


def _logits(
    head: MaskHead,
    predictions: Predictions,
    queries: Tensor,
    maps: ImageMaps,
    index: int,
    size: tuple[int, int],
) -> Iterator[Tensor]:
    """Mask logits `Tensor[N, H, W]` of `queries` `Tensor[n]` of the image at `index`, in pixels of
    the fed image, some at a time.
    """
    assert predictions.states is not None  # they are the decoder's
    image = maps.of_image(index)
    for part in queries.split(_AT_ONCE) if len(queries) else ():
        logits = head(predictions.states[index, part][None], image)
        yield head.upsample(logits, image, size)[0]
