"""Collaborative hybrid assignments (Co-DETR, https://arxiv.org/abs/2211.12860): in training, dense
heads with one-to-many assignments read the encoder's maps, and their positives pass the decoder as
additional queries.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from detectron2.structures import Instances
from torchvision.ops import box_convert

from hdetr_d2.errors import MisfitError
from hdetr_d2.projects.co_detr.adapter import Adapter
from hdetr_d2.projects.co_detr.collaborators import Collaborator, Collaborators
from hdetr_d2.projects.co_detr.draw import Draw, RandomDraw
from hdetr_d2.projects.co_detr.positives import Positives, pick_positives
from hdetr_d2.projects.co_detr.pyramid import Pyramid
from hdetr_d2.projects.co_detr.targets import PixelTargets
from hdetr_d2.schemes import Context, Contribution, Scheme
from hdetr_d2.schemes.base import check_at_least
from hdetr_d2.structures import Counted, ImageMaps, QueryGroup
from hdetr_d2.utils.device import to_device


class CollaborativeHeads(Scheme):
    """Heads on the maps of the encoder, each with a query group.

    Args:
        collaborators: by name, which is also that of the group and part of the names of the head's
            own losses.
        adapter: creates the level that only the heads use.
        strides: of the encoder's levels in px, finest first.
        weight: of the losses of the groups (the paper's lambda_1).
        max_queries: per group.
        draw: makes the random choices of the heads and of the positive queries.
        name: of the scheme; groups are named after the collaborators.

    Raises:
        ValueError: groups would have no queries.
    """

    def __init__(
        self,
        *,
        collaborators: Collaborators,
        adapter: Adapter,
        strides: Sequence[int],
        weight: float = 1.0,
        max_queries: int = 300,
        draw: Draw | None = None,
        name: str = "co",
    ) -> None:
        super().__init__(name)
        check_at_least(1, max_queries=max_queries)
        self.collaborators = collaborators
        self.adapter = adapter
        self.strides = (*strides, 2 * strides[-1])
        self.weight = weight
        self.max_queries = max_queries
        self.draw = draw or RandomDraw()

    def pyramid(self, maps: ImageMaps) -> Pyramid:
        """The input of the heads.

        Raises:
            MisfitError: the number of levels and strides differ.
        """
        levels = maps.memory.maps()
        if len(levels) + 1 != len(self.strides):
            raise MisfitError(
                f"CollaborativeHeads has strides={self.strides[:-1]}, but the encoder has "
                f"{len(levels)} levels."
            )
        return Pyramid(self.adapter(levels), self.strides, maps.frames)

    def detectors(self) -> Mapping[str, Callable[[ImageMaps], list[Instances]]]:
        return {name: partial(self._detect, name) for name in self.collaborators}

    def _detect(self, name: str, maps: ImageMaps) -> list[Instances]:
        return self.collaborators[name].head.detect(self.pyramid(maps))

    def contribute(self, context: Context) -> Contribution:
        pyramid, added = self.pyramid(context.maps), Contribution()
        targets = PixelTargets.of(context.targets, context.maps.frames)
        for name, collaborator in self.collaborators.items():
            output = collaborator.head(pyramid, targets, self.draw)
            for kind, loss in output.losses.items():
                added.losses[f"loss_{name}_{kind}"] = loss
            positives = pick_positives(output.candidates, self.draw, self.max_queries)
            added.groups.append(self._group(name, collaborator, positives, context))
        return added

    def _group(
        self, name: str, collaborator: Collaborator, positives: Positives, context: Context
    ) -> QueryGroup:
        sizes = context.maps.frames
        scale = to_device([(w, h, w, h) for h, w in sizes], positives.boxes)[:, None]
        boxes = box_convert(positives.boxes / scale, "xyxy", "cxcywh")
        queries = collaborator.queries(boxes, positives.features, context)
        assigner = Counted(positives.assignment.expand(context.num_layers, -1, -1))
        return QueryGroup(
            name=name,
            queries=queries,
            assigner=assigner,
            weight=self.weight,
            valid=positives.valid,
        )
