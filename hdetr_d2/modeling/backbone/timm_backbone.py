"""Any timm feature extractor as a Detectron2 backbone."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from hdetr_d2.errors import UserError
from hdetr_d2.layers import replace_linears
from hdetr_d2.modeling.backbone import pretrained as weights
from hdetr_d2.modeling.backbone import strides
from hdetr_d2.modeling.backbone.first_convolution import adapted, refuse_frozen, with_channels
from hdetr_d2.modeling.backbone.fit import find_padding, pad
from hdetr_d2.modeling.backbone.fusing import fuse_blocks
from hdetr_d2.modeling.backbone.norm import FrozenBatchNorm2d, batch_norms, group_norm, replace
from hdetr_d2.modeling.backbone.stages import Stage, classifier_name, find_stages, modules_up_to
from hdetr_d2.modeling.backbone.timm_models import (
    any_size_options,
    extractor,
    family_of,
    image_side,
    meta_classifier,
    plain_options,
)
from hdetr_d2.modeling.backbone.windows import pad_like_detectors

Norm = Literal["frozen_bn", "bn", "gn"]

# Padding constraints are determined once for each name, options and maps.
_PADDINGS: dict[tuple[str, str, tuple[Stage, ...]], dict[str, int]] = {}

# In swin_transformer_v2_cr, blocks end with a norm
_SWINS = {"swin_transformer", "swin_transformer_v2"}


class TimmBackbone(Backbone):
    """A timm model reduced to its feature maps, which are named `res{n}` after their stride 2^n.

    A dilated stage keeps the name it has without dilation (`res5` of a DC5 model has stride 16);
    maps of equal stride, as in a plain ViT, are numbered consecutively. Layers after the last map
    in use are removed. Maps of a Swin get the LayerNorm that detectors use (`norms.res2` ...), with
    its own weights; for other models this is optional. The padding that the maps need is determined
    by trial, and becomes Detectron2's `padding_constraints`.

    Args:
        name: a timm model, with or without the tag of its weights.
        out_features: names of the maps to return.
        pretrained: True for timm's weights, "offline" for those of a package (tf_efficientnet_lite0
            only), a path for a file, False for random weights; None if a checkpoint will be loaded,
            until which the model cannot train.
        frozen: 0 trains everything, 1 freezes the stem, n > 1 the stem and the stages up to
            `res{n}`.
        norm: "frozen_bn" makes every BatchNorm constant, "bn" keeps them trainable, "gn" replaces
            them by GroupNorm (for training from scratch); None for a model without BatchNorm. The
            BatchNorms of frozen stages are always constant.
        output_stride: 16 dilates the last stage instead of striding (DC5), for models that support
            it.
        stride_in_1x1: put the stride of a ResNet's bottlenecks into their first convolution, as in
            the original ResNets.
        drop_path_rate: stochastic depth, for models that support it; None for timm's default (0.1
            for a Swin).
        checkpointing: recompute activations in the backward pass to save memory.
        map_norm_eps: add a LayerNorm with this eps to each map; None for what detectors usually do:
            1e-5 for a Swin, no norm otherwise.
        in_chans: channels of the images; RGB weights are adapted, see `with_channels`.
        options: additional arguments of the timm model.

    Raises:
        UserError: an unknown model or feature map, a model whose maps fit no image size, arguments
            that the model does not accept, weights that are not available or do not fit, or
            freezing of random or adapted weights.
    """

    def __init__(
        self,
        *,
        name: str,
        out_features: Sequence[str] = ("res3", "res4", "res5"),
        pretrained: bool | str | None = True,
        frozen: int = 0,
        norm: Norm | None = None,
        output_stride: int = 32,
        stride_in_1x1: bool = False,
        drop_path_rate: float | None = None,
        checkpointing: bool = False,
        map_norm_eps: float | None = None,
        in_chans: int = 3,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        _check_plan(pretrained, frozen, norm)
        family = family_of(name)
        options = {"in_chans": in_chans, **plain_options(options or {})}
        # Models without dilation or stochastic depth do not accept these arguments.
        options |= {"output_stride": output_stride} if output_stride != 32 else {}
        options |= {} if drop_path_rate is None else {"drop_path_rate": drop_path_rate}
        classifier = meta_classifier(name, options)
        options = {**any_size_options(classifier), **options}
        stages = find_stages(classifier)
        chosen = _choose(stages, out_features, name)
        indices = tuple(stage.index for stage in chosen.values())
        self.net = extractor(name, indices, options)
        pad_like_detectors(self.net)
        if stride_in_1x1:
            strides.stride_in_1x1(self.net, name)
        side = image_side(classifier, options)
        self.padding = _padding(self.net, tuple(chosen.values()), name, options, side)
        changed = list[str]()
        if pretrained and not weights.pretrained_skipped():
            changed = _load(self.net, classifier, name, pretrained, options)
        if pretrained is None:
            weights.expect_checkpoint(self)
        _freeze(self.net, modules_up_to(frozen, self.net, classifier, stages))
        refuse_frozen(self.net, changed, f"model.backbone.frozen={frozen}")
        _replace_norms(self.net, norm, name)
        fuse_blocks(self.net)
        replace_linears(self.net)
        if checkpointing:
            _checkpoint_activations(self.net)
        self.shapes = {
            key: ShapeSpec(channels=stage.channels, stride=stage.stride)
            for key, stage in chosen.items()
        }
        if map_norm_eps is None and family in _SWINS:
            map_norm_eps = 1e-5
        norm_of_maps = nn.LayerNorm if _channels_last(self.net) else LayerNorm2d
        self.norms = nn.ModuleDict(
            {}
            if map_norm_eps is None
            else {k: norm_of_maps(v.channels, eps=map_norm_eps) for k, v in chosen.items()}
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """`Tensor[B, in_chans, H, W]` to `{name: Tensor[B, C, H / stride, W / stride]}`, finest
        first, sizes rounded up.

        Images that violate the `padding_constraints` are padded with zeros on the right and bottom,
        and cells that lie entirely in the padding are removed.
        """
        height, width = x.shape[-2:]
        x = pad(x, self.padding) if self.padding else x
        if x.device.type == "cpu":  # where convolutions are faster in channels_last
            x = x.contiguous(memory_format=torch.channels_last)
        channels_last = _channels_last(self.net)
        maps = {}
        for (name, shape), feature in zip(self.shapes.items(), self.net(x), strict=True):
            if name in self.norms:
                feature = self.norms[name](feature)
            if channels_last:
                feature = feature.permute(0, 3, 1, 2)
            if self.padding:
                stride = cast(int, shape.stride)
                feature = feature[..., : -(-height // stride), : -(-width // stride)]
            maps[name] = feature
        return maps

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of each map of `forward`."""
        return dict(self.shapes)

    @property
    def padding_constraints(self) -> dict[str, int]:
        """Nothing, or "size_divisibility" or "square_size" in pixels, in Detectron2's form."""
        return dict(self.padding)

    @property
    def size_divisibility(self) -> int:
        """In pixels; 0 for images of any size."""
        return self.padding.get("size_divisibility", 0)


def _channels_last(net: nn.Module) -> bool:
    """Whether the extractor's maps are `Tensor[B, H, W, C]`."""
    return getattr(net, "output_fmt", "NCHW") == "NHWC"


def _check_plan(pretrained: bool | str | None, frozen: int, norm: str | None) -> None:
    """Raises UserError for options that contradict each other, whatever the model."""
    if norm not in (None, "frozen_bn", "bn", "gn"):
        raise UserError(f"model.backbone.norm must be frozen_bn, bn, gn or null, not {norm!r}.")
    random = pretrained is False and not weights.pretrained_skipped()
    if random and (frozen or norm == "frozen_bn"):
        raise UserError(
            f"model.backbone.pretrained=false with frozen={frozen}, norm={norm} would freeze "
            "random weights: give weights, or set model.backbone.frozen=0 and norm to bn or gn."
        )
    if norm == "gn" and (pretrained or frozen):
        raise UserError(
            "model.backbone.norm=gn is for training from scratch: it needs pretrained=false and "
            "frozen=0."
        )


def _choose(stages: Mapping[str, Stage], wanted: Sequence[str], name: str) -> dict[str, Stage]:
    unknown = sorted(set(wanted) - set(stages))
    if unknown or not wanted:
        raise UserError(
            f"model.backbone.out_features is {list(wanted)}, but {name} has the maps "
            f"{', '.join(stages)}."
        )
    return {key: stage for key, stage in stages.items() if key in wanted}


def _padding(
    net: nn.Module, stages: tuple[Stage, ...], name: str, options: Mapping[str, Any], side: int
) -> dict[str, int]:
    model = (name, repr(sorted(options.items())), stages)
    if model not in _PADDINGS:
        strides = [stage.stride for stage in stages]
        found = find_padding(net, strides=strides, in_chans=options["in_chans"], side=side)
        if found is None:
            raise UserError(
                f"model.backbone.name={name}: no size of images was found over which its maps lie "
                f"in steps of {strides} pixels: choose another model."
            )
        _PADDINGS[model] = found
    return dict(_PADDINGS[model])


def _load(
    net: nn.Module,
    classifier: nn.Module,
    name: str,
    pretrained: bool | str,
    options: Mapping[str, Any],
) -> list[str]:
    """Returns the names in `net` of what was adapted to its channels."""
    source, state = weights.find_weights(pretrained, name, options, classifier)
    names = {key: classifier_name(key, classifier) for key in net.state_dict()}
    known = classifier.state_dict()
    changed = adapted(state, known)
    state = with_channels(state, known, source)
    weights.load(net, names, state, known=set(known), source=source)
    return [own for own, key in names.items() if key in changed]


def _freeze(net: nn.Module, modules: Sequence[nn.Module]) -> None:
    for module in modules:
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)
    # Moving statistics would defeat the purpose of freezing the weights.
    replace(net, batch_norms(net).intersection(modules), FrozenBatchNorm2d)


def _replace_norms(net: nn.Module, norm: Norm | None, name: str) -> None:
    trainable = batch_norms(net)
    frozen = any(isinstance(module, FrozenBatchNorm2d) for module in net.modules())
    if norm and not (trainable or frozen):
        raise UserError(
            f"model.backbone.norm={norm} is about BatchNorm, and {name} has none: set it to null."
        )
    if norm in ("frozen_bn", "gn"):
        replace(net, trainable, FrozenBatchNorm2d if norm == "frozen_bn" else group_norm)


def _checkpoint_activations(net: nn.Module) -> None:
    # Extractors that contain the whole model leave it to that model.
    for owner in (net, getattr(net, "model", None)):
        if switch := getattr(owner, "set_grad_checkpointing", None):
            switch(True)
            return
    raise UserError(f"model.backbone.checkpointing: timm has none for {type(net).__name__}.")
