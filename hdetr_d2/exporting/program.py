"""From a detector graph to a torch.export program in PyTorch's own operations."""

import copy
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from hdetr_d2.errors import UserError
from hdetr_d2.exporting.graph import DetectorGraph, QueriesGraph
from hdetr_d2.modeling import DETR
from hdetr_d2.modeling.backbone.folding import fold_for_good
from hdetr_d2.modeling.low_rank import merge_adapters
from hdetr_d2.ops.ms_deform_attn_gather import ms_deform_attn_gather
from hdetr_d2.ops.ms_deform_attn_grid_sample import ms_deform_attn_grid_sample
from hdetr_d2.ops.portable import attention_as
from hdetr_d2.pixels import EIGHT_BITS, ImageFormat

INPUTS = ("images", "sizes", "originals")
_MOST_CELLS, _MOST_IMAGES = 256, 1024
_COARSEST = 256  # maximum size of a map's cell in pixels


class Plan(NamedTuple):
    """The requirements of a graph.

    size: (H, W) in pixels that it is traced with. fixed_size: whether it is the only one accepted.
    multiple, least: in pixels, of which sides must be multiples, and the minimum side. batch:
    number of images; None for any. post_processing: whether it outputs detections. grid_sample:
    whether deformable attention may use GridSample. image_format: of the images.
    """

    size: tuple[int, int]
    fixed_size: bool
    multiple: int
    least: int
    batch: int | None
    post_processing: bool = True
    grid_sample: bool = True
    image_format: ImageFormat = EIGHT_BITS


def make_graph(model: DETR, plan: Plan) -> DetectorGraph:
    """The graph of a copy of the model, on the CPU."""
    model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    merge_adapters(model)
    fold_for_good(model.fold_norms().backbone)
    if not plan.fixed_size:
        _fix_padding(model)
    return DetectorGraph(model) if plan.post_processing else QueriesGraph(model)


def trace(graph: DetectorGraph, plan: Plan) -> ExportedProgram:
    """Traces the graph to a program.

    Raises:
        UserError: the model cannot be traced for any size, or not at all.
    """
    form = ms_deform_attn_grid_sample if plan.grid_sample else ms_deform_attn_gather
    batch = plan.batch or 2
    example = example_inputs(batch, plan.size, plan.image_format)
    try:
        with attention_as(form), torch.no_grad():
            return torch.export.export(
                graph,
                tuple(example.values()),
                dynamic_shapes=_dynamic_shapes(plan),
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=True,
            )
    except Exception as error:  # each part of PyTorch has its own errors
        if plan.fixed_size and plan.batch:
            raise
        wish = "any number of images" if plan.fixed_size else "images of any size"
        mend = "--batch N" if plan.fixed_size else "--size H W"
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"this model cannot be exported for {wish} ({reason}): give {mend}"
        ) from error


def example_inputs(
    batch: int, size: tuple[int, int], image_format: ImageFormat = EIGHT_BITS
) -> dict[str, Tensor]:
    """Noise images that fill `size`, and original sizes half as large."""
    height, width = size
    pixels = torch.randint(0, 256, (batch, image_format.channels, height, width))
    pixels = pixels.to(torch.from_numpy(np.empty(0, image_format.dtype)).dtype)
    sizes = torch.tensor([[height, width]] * batch)
    return dict(zip(INPUTS, (pixels, sizes, sizes // 2 + 1), strict=True))


@torch.no_grad()
def any_size(model: DETR) -> tuple[int, int]:
    """The number of pixels whose multiples are whole cells on every map of the model, and the
    minimum that provides as many cells as the model has queries.
    """
    side = math.lcm(_COARSEST, model.preprocessing.multiple)
    black = torch.zeros(1, len(model.preprocessing.mean), side, side, device=model.device)
    strides = [side // level.shape[-1] for level in model.neck(model.backbone(black))]
    multiple = math.lcm(model.preprocessing.multiple, *strides)
    cells = sum((multiple // stride) ** 2 for stride in strides)
    least = math.isqrt(-(-model.query_selection.slots.num // cells) - 1) + 1
    # torch.export would specialise a size of 1.
    return multiple, multiple * max(2, least)


def _dynamic_shapes(plan: Plan) -> Sequence[dict[int, Any]]:
    batch: dict[int, Any] = {} if plan.batch else {0: Dim("batch", max=_MOST_IMAGES)}
    sides: dict[int, Any] = {}
    if not plan.fixed_size:
        least, most = plan.least // plan.multiple, _MOST_CELLS
        rows, columns = (Dim(name, min=least, max=most) for name in ("rows", "columns"))
        sides = {2: plan.multiple * rows, 3: plan.multiple * columns}
    return ({**batch, **sides}, batch, batch)


def _fix_padding(root: nn.Module) -> None:
    """Replaces timm's convolutions with TensorFlow-style padding by ones with constant padding: the
    former depend on the size of the map, although the result is the same for all maps of whole
    cells.
    """
    for name, child in root.named_children():
        if isinstance(child, Conv2dSame):
            setattr(root, name, _constantly_padded(child))
        else:
            _fix_padding(child)


def _constantly_padded(conv: Conv2dSame) -> nn.Module:
    sides = zip(conv.kernel_size, conv.dilation, conv.stride, strict=True)
    extra = [max((kernel - 1) * dilation + 1 - stride, 0) for kernel, dilation, stride in sides]
    (top, left), (bottom, right) = ([e // 2 for e in extra], [e - e // 2 for e in extra])
    plain = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        dilation=conv.dilation,  # type: ignore[arg-type]
        groups=conv.groups,
        bias=conv.bias is not None,
    )
    plain.load_state_dict(conv.state_dict())
    return nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), plain).requires_grad_(False)
