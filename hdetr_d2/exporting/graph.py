"""A detector as a function of tensors only: what an exported file computes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hdetr_d2.modeling import DETR
from hdetr_d2.modeling.preprocessing import ImageBatch
from hdetr_d2.modeling.transformer.proposals import ProposalQueries
from hdetr_d2.ops import box_cxcywh_to_xyxy
from hdetr_d2.structures import ImageMaps, Predictions

Choose = Callable[[Tensor, int], Tensor]
_MASKS_AT_ONCE = 20


class DetectorGraph(nn.Module):
    """Images to detections.

    outputs: names of the outputs of `forward`.

    Args:
        model: in evaluation mode, on the CPU.
    """

    def __init__(self, model: DETR) -> None:
        super().__init__()
        self.model = model
        self.two_stage = isinstance(model.query_selection, ProposalQueries)
        self.outputs = self._names()

    def _names(self) -> tuple[str, ...]:
        masks = ("masks",) if self.model.mask_head is not None else ()
        return ("scores", "labels", "boxes", "queries", *masks, *self._proposal_names())

    def _proposal_names(self) -> tuple[str, ...]:
        return ("proposals",) if self.two_stage else ()

    def forward(self, images: Tensor, sizes: Tensor, originals: Tensor) -> tuple[Tensor, ...]:
        """
        Args:
            images: `Tensor[B, C, H, W]` in the data's format, uint8 in RGB, each at the top left.
            sizes: `Tensor[B, 2]` int64, (H, W) of the images there; pixels outside are ignored.
            originals: `Tensor[B, 2]` int64, (H, W) of the images before resizing.

        Returns:
            scores: `Tensor[B, N]`, -inf for rows that are not detections. labels: `Tensor[B, N]`
                int64. boxes: `Tensor[B, N, 4]` xyxy in pixels of the original images, clipped to
                them. queries: `Tensor[B, N]` int64. masks, for models that have them:
                `Tensor[B, N, H, W]` bool, in pixels of the input. proposals, for two-stage models:
                `Tensor[B, Q]` int64, the index of the token from which each query starts.
        """
        maps, predictions, proposals = self._predict(images, sizes)
        scores, boxes = self.model.scores(predictions), predictions.boxes[-1]
        post = self.model.postprocessing
        best, labels, queries = post.pick(scores, boxes, post.num_select)
        corners = box_cxcywh_to_xyxy(boxes)
        corners = corners.gather(1, queries[..., None].expand(-1, -1, 4))
        found = [best, labels, self._in_originals(corners, sizes, originals), queries]
        if self.model.mask_head is not None:
            found.append(self._masks(predictions, queries, maps))
        return (*found, *proposals)

    def _predict(
        self, images: Tensor, sizes: Tensor
    ) -> tuple[ImageMaps, Predictions, list[Tensor]]:
        model, proposals = self.model, list[Tensor]()
        tensor, padding = model.preprocessing.prepare(images, sizes)
        maps = model.encode_batch(ImageBatch(tensor, padding, [], []))
        selection = model.query_selection
        if not isinstance(selection, ProposalQueries):
            return maps, model.predict(maps.memory), []
        best = selection.best  # a comparison may have replaced it

        def choose(confidence: Tensor, number: int) -> Tensor:
            proposals.append(best(confidence, number))
            return proposals[0]

        with choosing(model, choose):
            return maps, model.predict(maps.memory), proposals

    def _in_originals(self, corners: Tensor, sizes: Tensor, originals: Tensor) -> Tensor:
        """Boxes relative to the frames, xyxy, in pixels of the original images."""
        frames = self.model.preprocessing.frames_of(sizes)
        frame, fed, whole = (_twice(each) for each in (frames, sizes, originals))
        # In this order, like the boxes of a batch of images.
        return (corners * frame * (whole / fed)).clamp(min=0).minimum(whole)

    def _masks(self, predictions: Predictions, queries: Tensor, maps: ImageMaps) -> Tensor:
        head, states = self.model.mask_head, predictions.states
        assert head is not None
        assert states is not None  # the decoder always has states
        states = states.gather(1, queries[..., None].expand(-1, -1, states.shape[-1]))
        logits = [head(part, maps) for part in states.split(_MASKS_AT_ONCE, 1)]
        return torch.cat([head.upsample(part, maps, maps.size) > 0 for part in logits], 1)


class QueriesGraph(DetectorGraph):
    """Images to scores and boxes of all queries, for custom post-processing."""

    def _names(self) -> tuple[str, ...]:
        return ("query_scores", "query_boxes", *self._proposal_names())

    def forward(self, images: Tensor, sizes: Tensor, originals: Tensor) -> tuple[Tensor, ...]:
        """
        Returns:
            query_scores: `Tensor[B, Q, K]` in [0, 1]. query_boxes: `Tensor[B, Q, 4]` xyxy in pixels
                of the original images, clipped to them. proposals: see `DetectorGraph`.
        """
        _, predictions, proposals = self._predict(images, sizes)
        corners = box_cxcywh_to_xyxy(predictions.boxes[-1])
        boxes = self._in_originals(corners, sizes, originals)
        return (self.model.scores(predictions), boxes, *proposals)


@contextmanager
def choosing(model: DETR, choose: Choose) -> Iterator[None]:
    """Within this context `choose` selects the proposals that become queries; see
    `ProposalQueries.best`.
    """
    own = vars(model.query_selection)
    before = own.get("best")
    own["best"] = choose
    try:
        yield
    finally:
        if before is None:
            del own["best"]
        else:
            own["best"] = before


def _twice(sizes: Tensor) -> Tensor:
    """`Tensor[B, 2]` (H, W) to `Tensor[B, 1, 4]` float32 (W, H, W, H)."""
    return sizes.flip(1).repeat(1, 2)[:, None].float()
