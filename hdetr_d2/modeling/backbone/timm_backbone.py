"""Any feature extractor of timm as a Detectron2 backbone."""

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

# What models need is looked for once: name, options and maps to a padding.
_PADDINGS: dict[tuple[str, str, tuple[Stage, ...]], dict[str, int]] = {}

_SWINS = {"swin_transformer", "swin_transformer_v2"}  # in swin_transformer_v2_cr blocks end normed


class TimmBackbone(Backbone):
    """A timm model cut down to its feature maps, named `res{n}` by their stride 2^n.

    A dilated stage keeps the name it has without dilation (`res5` of a DC5 model has stride 16);
    maps of one stride, as in a plain ViT, count on. Layers after the last map in use do not exist.
    Maps of a Swin get the LayerNorm that detectors give them (`norms.res2` ...), with weights of
    its own, those of other models on demand. What padding the maps need is found by trying, and is
    Detectron2's `padding_constraints`.

    Args:
        name: a timm model, with or without the tag of its weights.
        out_features: names of the maps to return.
        pretrained: True for timm's weights, "offline" for those of a package (of
            tf_efficientnet_lite0), a path for those of a file, False for random ones; None if a
            checkpoint will be loaded that holds them: until then the model cannot train.
        frozen: 0 trains everything, 1 freezes the stem, n > 1 the stem and the stages up to
            `res{n}`.
        norm: "frozen_bn" makes every BatchNorm a constant, "bn" keeps them trainable, "gn" puts
            GroupNorm in their place (for training from scratch); None for a model without
            BatchNorm. The BatchNorm of a frozen stage is a constant in any case.
        output_stride: 16 dilates the last stage instead of striding (DC5), for models that can.
        stride_in_1x1: let the bottlenecks of a ResNet stride in their first convolution, as the
            first ones did.
        drop_path_rate: stochastic depth, for models that have it; None for what timm gives the
            model (0.1 for a Swin).
        checkpointing: recompute activations in the backward pass to save memory.
        map_norm_eps: give each map a LayerNorm with this eps; None for what detectors do with the
            model, 1e-5 for a Swin, and no norm for any other.
        in_chans: channels of the images; weights that know three are made to fit, see
            `with_channels`.
        options: further arguments of the timm model.

    Raises:
        UserError: an unknown model or feature map, a model whose maps fit no image, arguments the
            model does not take, weights that cannot be had or do not fit, and freezing random
            weights or those of other channels.
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
        # Models without dilation or stochastic depth do not know these arguments.
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
        """`Tensor[B, in_chans, H, W]` to `{name: Tensor[B, C, H / stride, W / stride]}`, the finest
        first, sizes rounded up.

        Images that do not keep to the `padding_constraints` are padded with zeros, at the right and
        below, and the cells that lie wholly there are left out.
        """
        height, width = x.shape[-2:]
        x = pad(x, self.padding) if self.padding else x
        if x.device.type == "cpu":  # whose convolutions are faster where channels lie together
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
        """ "size_divisibility" or "square_size" in pixels, or nothing, as for Detectron2."""
        return dict(self.padding)

    @property
    def size_divisibility(self) -> int:
        """In pixels; 0 for images of any size."""
        return self.padding.get("size_divisibility", 0)


def _channels_last(net: nn.Module) -> bool:
    """Whether the extractor's maps are `Tensor[B, H, W, C]`."""
    return getattr(net, "output_fmt", "NCHW") == "NHWC"


def _check_plan(pretrained: bool | str | None, frozen: int, norm: str | None) -> None:
    """Raises UserError for wishes that contradict each other, whatever the model."""
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
    """The names in `net` of what was made to fit its channels."""
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
    # Statistics that go on moving would undo what freezing the weights is for.
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
    # An extractor that holds the whole model leaves it to the model.
    for owner in (net, getattr(net, "model", None)):
        if switch := getattr(owner, "set_grad_checkpointing", None):
            switch(True)
            return
    raise UserError(f"model.backbone.checkpointing: timm has none for {type(net).__name__}.")
