"""The meta-architecture around all architectures and schemes of this project."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from detectron2.modeling import Backbone
from torch import Tensor, nn

from hdetr_d2.losses import Criterion, share_class_loss
from hdetr_d2.modeling.backbone.folding import fold_norms
from hdetr_d2.modeling.freezing import freeze as freeze_parameters
from hdetr_d2.modeling.low_rank import LowRank, fresh_adapters
from hdetr_d2.modeling.mask_head import MaskHead
from hdetr_d2.modeling.neck import Neck
from hdetr_d2.modeling.postprocessing import PostProcessing
from hdetr_d2.modeling.precision import check_precision
from hdetr_d2.modeling.preprocessing import ImageBatch, Preprocessing
from hdetr_d2.modeling.scheme_parts import (
    add_losses,
    capacities,
    further_outputs,
    main_group,
    proposals_group,
    select,
)
from hdetr_d2.modeling.staged import StagedBatch
from hdetr_d2.modeling.transformer import Decoder, Encoder, QuerySelection
from hdetr_d2.modeling.transformer.query_selection import Slots
from hdetr_d2.schemes.base import Context, Scheme, check_together
from hdetr_d2.structures import (
    FurtherTask,
    Group,
    GroupOutput,
    ImageMaps,
    Memory,
    Predictions,
    Step,
    Tap,
    Targets,
    by_query,
)
from hdetr_d2.utils.timing import section


class DETR(nn.Module):
    """A detection transformer: backbone, neck, encoder, query selection, decoder, losses.

    Args:
        preprocessing: pads the images as the backbone requires, and normalises them.
        backbone: a Detectron2 backbone, with its `size_divisibility` and `padding_constraints`.
        neck: maps the backbone's features to the list of maps for the encoder; has `in_channels` by
            feature name, or takes them from the backbone.
        encoder: maps and padding to `Memory`.
        query_selection: memory to queries.
        decoder: query groups and memory to `Predictions`; has `num_layers` and `refine`.
        criterion: assigns targets, and computes the losses of a group.
        num_classes: foreground classes.
        schemes: additions in training.
        postprocessing: produces the outputs of evaluation; None for the best 100 pairs of query and
            class.
        mask_head: predicts masks for targets and detections; None for boxes only.
        freeze: regular expressions; parameters whose names match are frozen.
        adapters: trainable additions to frozen weights; None for none.

    Raises:
        ValueError: parts do not fit together.
        UserError: parameters are not float32, here or after `to`, `half` and the like.
    """

    def __init__(
        self,
        *,
        preprocessing: Preprocessing,
        backbone: Backbone,
        neck: Neck,
        encoder: Encoder,
        query_selection: QuerySelection,
        decoder: Decoder,
        criterion: Criterion,
        num_classes: int,
        schemes: Sequence[Scheme] = (),
        postprocessing: PostProcessing | None = None,
        mask_head: MaskHead | None = None,
        freeze: Sequence[str] = (),
        adapters: LowRank | None = None,
    ) -> None:
        super().__init__()
        check_together(schemes)
        neck.connect(backbone.output_shape())
        _check_features(backbone, neck.in_channels, "neck")
        if mask_head is not None:
            mask_head.connect(backbone.output_shape())
            _check_features(backbone, mask_head.in_channels, "mask head")
        postprocessing = postprocessing or PostProcessing()
        postprocessing.check_masks(mask_head)
        if query_selection.two_stage and not decoder.refine:
            raise ValueError(
                "Two-stage queries need decoder.refine: a proposal is a box that layers move on."
            )
        if not query_selection.two_stage and any(scheme.proposal_heads() for scheme in schemes):
            raise ValueError(
                "A scheme has proposal_heads, but the queries of model.query_selection are learned."
            )
        query_selection.start_as(decoder.heads)
        for scheme in schemes:
            scheme.connect(query_selection.proposal_heads)
        preprocessing.keep_to(backbone)
        self.preprocessing = preprocessing
        self.backbone = backbone
        self.neck = neck
        self.encoder = encoder
        self.query_selection = query_selection
        self.decoder = decoder
        self.criterion = criterion
        share_class_loss(criterion.class_loss, (query_selection, decoder, *schemes))
        self.num_classes = num_classes
        self.postprocessing = postprocessing
        self.mask_head = mask_head
        self.schemes: Sequence[Scheme] = nn.ModuleList(schemes)  # type: ignore[assignment]
        self.scheme_slots = nn.ModuleDict(
            {
                scheme.name: query_selection.make_slots(num)
                for scheme in schemes
                if (num := scheme.slots(query_selection.slots.num))
            }
        )
        freeze_parameters(self, freeze)
        if adapters is not None:
            adapters.put_into(self)
        check_precision(self)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "DETR":
        """Called by `to`, `half`, `double` and the like, also of a module that contains this one.

        Raises:
            UserError: parameters are no longer float32.
        """
        super()._apply(fn, recurse)
        check_precision(self)
        return self

    @property
    def device(self) -> torch.device:
        return self.preprocessing.mean.device

    def fold_norms(self, dtype: torch.dtype = torch.float32) -> "DETR":
        """Folds the backbone's constant norms into its convolutions in evaluation: the detections
        are equal up to rounding, and a ResNet-50 takes 0.93 of the time on a CPU. Training and
        saved weights do not change. Returns the model.

        Args:
            dtype: of the autocast context used in evaluation; float32 without one.
        """
        fold_norms(self.backbone, self.preprocessing.mean.numel(), dtype)
        return self

    def class_head_keys(self) -> list[str]:
        """The parameters that depend on the classes of the data."""
        heads = [name for name, _ in self.named_parameters() if ".class_heads." in name]
        tables = [
            f"schemes.{number}.{name}"
            for number, scheme in enumerate(self.schemes)
            for name in scheme.class_tables()
        ]
        return [*tables, *heads]

    def objectness_keys(self) -> list[str]:
        """Those of them whose first channel is "object", whatever the classes."""
        selection = self.query_selection
        if not (selection.two_stage and selection.class_agnostic):
            return []
        own = [heads for each in self.schemes if (heads := each.proposal_heads()) is not None]
        parts = [name for name, part in self.named_modules() if any(part is h for h in own)]
        prefixes = tuple(f"{part}." for part in ["query_selection", *parts])
        return [key for key in self.class_head_keys() if key.startswith(prefixes)]

    def slot_keys(self) -> list[str]:
        """The parameters with one row per query."""
        slots = [name for name, each in self.named_modules() if isinstance(each, Slots)]
        return [f"{name}.table" for name in slots]

    def optional_keys(self) -> list[str]:
        """Prefixes of parameters that initial weights may lack; these are then initialised."""
        further = [f"encoder.{key}" for key in self.encoder.optional]
        further += [f"decoder.{key}" for key in self.decoder.optional]
        return ["mask_head", "schemes", "scheme_slots", *further]

    def training_only_keys(self) -> list[str]:
        """Prefixes of parameters that evaluation does not need, so that a checkpoint for it may
        lack them.
        """
        return [*self.postprocessing.training_only, *fresh_adapters(self)]

    def forward(
        self, batched_inputs: Sequence[dict], step: Step | None = None
    ) -> dict[str, Tensor] | list[dict]:
        """Returns losses in training, detections in evaluation.

        Args:
            batched_inputs: Detectron2's dicts: "image" `Tensor[3, H, W]` RGB, 0 to 255; "height"
                and "width" of the original image, and "outline" (see `Outline`) if it does not fill
                "image" from edge to edge; in training "instances" with `gt_boxes` and `gt_classes`,
                for a mask head also `gt_masks`.
            step: the step that this batch belongs to; by default the batch is the whole first step
                of a training.

        Returns:
            In training the weighted losses by name; otherwise, for each image, {"instances":
            Instances} with `pred_boxes` (xyxy in pixels of the original image), `scores`,
            `pred_classes`, `pred_queries` (index of the query); with a mask head also `pred_masks`
            (`ScaledMasks` of the original image); with panoptic post-processing also Detectron2's
            "panoptic_seg".
        """
        if self.training:
            batch = self.stage(batched_inputs)
            return self.losses(batch, step or Step.of(batch.targets))
        maps = self.encode([item["image"] for item in batched_inputs])
        return self.postprocessing(self, maps, batched_inputs)

    def stage(self, batched_inputs: Sequence[dict], least_targets: int = 1) -> StagedBatch:
        """Moves a training batch to the device: everything that is done on the host.

        Args:
            batched_inputs: as for `forward` in training.
            least_targets: minimum number of targets to pad to.
        """
        images = self.preprocessing.stack([item["image"] for item in batched_inputs])
        targets = Targets.from_inputs(
            batched_inputs,
            self.num_classes,
            self.device,
            self.mask_head is not None,
            images.frames,
            least_targets,
        )
        return StagedBatch(batched_inputs, images, targets)

    def encode(self, images: Sequence[Tensor]) -> ImageMaps:
        """The maps of a batch of images, `Tensor[3, H_i, W_i]` each, RGB, 0 to 255."""
        return self.encode_batch(self.preprocessing(images))

    def encode_batch(self, batch: ImageBatch) -> ImageMaps:
        """The maps of images in a single tensor."""
        features = self.backbone(batch.tensor)
        levels = self.neck(features)
        memory = self.encoder(levels, batch.padding)
        height, width = batch.tensor.shape[-2:]
        return ImageMaps(features, levels, memory, (height, width), batch.sizes, batch.frames)

    def predict(self, memory: Memory) -> Predictions:
        """The predictions for the main queries."""
        queries = self.query_selection(memory).main
        main = main_group(self.schemes, queries, self.decoder.num_layers)
        return self.decoder([main], memory)[0]

    def scores(self, predictions: Predictions) -> Tensor:
        """The class scores of the last layer, `Tensor[B, Q, num_classes]` in [0, 1]."""
        return self.criterion.class_loss.scores(predictions.logits[-1].float())

    def phase(self, progress: float) -> Hashable:
        """What in the losses depends on the training progress, on the host: steps of equal phase
        perform the same computation on the same tensors.
        """
        return (
            capacities(self.schemes, self.decoder.num_layers, progress),
            *(scheme.phase(progress) for scheme in self.schemes),
            self.criterion.matcher.phase(progress),
        )

    def losses(self, batch: StagedBatch, step: Step) -> dict[str, Tensor]:
        """The weighted losses by name: everything that is done on the device."""
        maps = self.encode_batch(self.preprocessing.prepare_batch(batch.images))
        targets, memory, layers = batch.targets, maps.memory, self.decoder.num_layers
        wanted: Any = dict(self.scheme_slots.items())
        selection, slots, proposals = select(self.query_selection, self.schemes, wanted, memory)
        context = Context(
            step=step,
            inputs=batch.inputs,
            targets=targets,
            maps=maps,
            main=main_group(self.schemes, selection.main, layers, step.progress),
            slots=slots,
            num_layers=layers,
            embed_boxes=self.query_selection.embed_boxes,
        )
        context.main.weight = math.prod(scheme.main_weight(context) for scheme in self.schemes)
        tasks, taps = list[FurtherTask](), list[Tap]()
        learners: list[tuple[Group, Predictions]] = []
        if selection.proposals is not None:
            weight = self.query_selection.proposal_weight
            learners.append((proposals_group(self.schemes, weight), selection.proposals))
        losses: dict[str, Tensor] = {}
        for scheme in self.schemes:
            added = scheme.contribute(context)
            context.others += added.groups
            tasks += added.tasks
            taps += added.taps
            add_losses(losses, {name: loss * step.share for name, loss in added.losses.items()})
            if added.proposals is not None:
                learners.append((added.proposals, proposals[scheme.name]))
        groups = [context.main, *context.others]
        found = self.decoder(groups, memory, taps=taps)
        outputs = [
            GroupOutput(group, predictions, targets)
            for group, predictions in zip([*groups, *taps], found, strict=True)
        ]
        outputs += further_outputs(outputs, tasks)
        if self.query_selection.class_agnostic:
            targets = targets.class_agnostic()
        outputs += [GroupOutput(*learner, targets) for learner in learners]
        with section("match"):
            answers = self.criterion.assign(outputs, step.progress)
        with section("loss"):
            for output, learned in zip(outputs, answers, strict=True):
                add_losses(losses, self.criterion(output, learned, step))
            if self.mask_head is not None:
                of_main = by_query(answers[0])
                add_losses(losses, self.mask_head.losses(outputs[0], of_main, maps, step))
        return losses


def _check_features(backbone: Backbone, wanted: Mapping[str, int], part: str) -> None:
    """Raises ValueError unless the backbone provides the feature maps that `part` of the model
    needs, given as channels by name.
    """
    given = {name: shape.channels for name, shape in backbone.output_shape().items()}
    if any(given.get(name) != channels for name, channels in wanted.items()):
        raise ValueError(
            f"The {part} takes features with the channels {wanted}, but the backbone gives {given}."
        )
