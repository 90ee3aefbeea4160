"""From the mask logits of queries to masks in pixels of the original images."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from hdetr_d2.modeling.mask_head import MaskHead
from hdetr_d2.modeling.panoptic import PanopticMerger
from hdetr_d2.structures import ImageMaps, Outline, Predictions, ScaledMasks

_AT_ONCE = 20
"""Number of masks computed at once: for large images, this many fit into any memory."""


def add_masks(
    outputs: Sequence[dict],
    head: MaskHead,
    predictions: Predictions,
    maps: ImageMaps,
    outlines: Sequence[Outline],
) -> None:
    """Adds `pred_masks` to the detections of each image: `ScaledMasks` in pixels of the original
    image.

    Args:
        outputs: for each image, {"instances": Instances} with `pred_queries`.
        predictions: for the main queries.
        outlines: of the original images in the model's inputs.
    """
    each = zip(outputs, maps.sizes, outlines, strict=True)
    for index, (output, size, outline) in enumerate(each):
        instances = output["instances"]
        # A query may appear with several classes.
        queries, place = instances.pred_queries.unique(return_inverse=True)
        masks = [queries.new_zeros(0, *size, dtype=torch.bool)]
        masks += [logits > 0 for logits in _logits(head, predictions, queries, maps, index, size)]
        # Nearest-neighbour, since it is already a binary mask, as in DETR.
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
    """Adds "panoptic_seg" to each image: the result of `merger` for its queries.

    Args:
        outputs: for each image, {"instances": Instances}, which have the original size.
        scores: `Tensor[B, Q, K]`.
        predictions: for the main queries.
        outlines: of the original images in the model's inputs.
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
    the model's input, in chunks.
    """
    assert predictions.states is not None  # the decoder always has states
    image = maps.of_image(index)
    for part in queries.split(_AT_ONCE) if len(queries) else ():
        logits = head(predictions.states[index, part][None], image)
        yield head.upsample(logits, image, size)[0]
