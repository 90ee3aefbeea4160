"""The training step of H-DETR's authors."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from ms_deform_attn_peers import grid_sample_form
from official import Anything, open_checkout
from torch import Tensor
from train_step_sides import Batch, Step

from hdetr_d2.checkpoint.importers import Arguments, find_importer

# The pretrained backbone is left out: both sides have the same random weights.
_PLUS_PLUS = "--with_box_refine --two_stage --mixed_selection --look_forward_twice --dropout 0.0"
_PLUS_PLUS += " --dim_feedforward 2048"
PIXEL_MEAN = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
PIXEL_STD = torch.tensor([58.395, 57.12, 57.375])[:, None, None]
ARGUMENTS = {
    "deformable_detr/deformable_detr_pp_r50_12ep.py": f"{_PLUS_PLUS} --k_one2many 0",
    "hdetr/h_deformable_detr_r50_12ep.py": (
        f"{_PLUS_PLUS} --num_queries_one2many 1500 --k_one2many 6"
    ),
}
"""By our recipe, the authors' arguments for theirs."""

# What the code imports and a training step does not use.
_UNUSED = ("wandb", "datasets", "datasets.samplers", "datasets.coco_eval", "datasets.panoptic_eval")
_UNUSED += ("datasets.data_prefetcher", "models.swin_transformer")


class Official:
    """Their models from a checkout.

    attention: the multi-scale deformable attention that it uses.

    Raises:
        ImportError: it does not exist.
    """

    def __init__(self, checkout: Path, device: str) -> None:
        try:
            import MultiScaleDeformableAttention  # noqa: F401
        except ImportError:
            unused = (*_UNUSED, "MultiScaleDeformableAttention")
        else:
            unused = _UNUSED
        open_checkout(checkout, unused)
        import main
        import models.backbone
        import models.ops.modules.ms_deform_attn as attention

        models.backbone.is_main_process = lambda: False  # only the main process loads weights
        self.attention = "their attention kernel"
        if device == "cpu" or isinstance(sys.modules["MultiScaleDeformableAttention"], Anything):
            attention.MSDeformAttnFunction = _GridSample
            self.attention = "grid_sample for their attention kernel, which is not here"
        self.parser = main.get_args_parser()
        self.device = device

    def step(self, recipe: str, batch: Batch) -> Step:
        """The step of their model with random weights."""
        from engine import train_hybrid
        from models import build_model
        from util.misc import nested_tensor_from_tensor_list

        args = self._arguments(recipe)
        model, criterion, _ = build_model(args)
        model.to(self.device).train()
        images = nested_tensor_from_tensor_list(
            [((image - PIXEL_MEAN) / PIXEL_STD).to(self.device) for image in batch.images]
        )
        targets = [
            {"labels": labels.to(self.device), "boxes": boxes.to(self.device)}
            for labels, boxes in zip(batch.labels, batch.boxes, strict=True)
        ]

        def losses() -> Mapping[str, Tensor]:
            outputs = model(images)
            if args.k_one2many:
                branch = (args.k_one2many, criterion, args.lambda_one2many)
                found = train_hybrid(outputs, targets, *branch)
            else:
                found = criterion(outputs, targets)
            weights = criterion.weight_dict
            return {name: found[name] * weights[name] for name in found if name in weights}

        optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-4)
        return Step(model, losses, optimizer, args.clip_max_norm)

    def copy_weights(self, recipe: str, theirs: Step, ours: Step) -> None:
        """Copies their model's weights to ours, through the importer for their checkpoints."""
        importer = find_importer("h-deformable-detr")
        told = Arguments(importer.defaults, vars(self._arguments(recipe)), {})
        ours.model.load_state_dict(importer.read(told, theirs.model.state_dict()).weights)

    def _arguments(self, recipe: str) -> argparse.Namespace:
        return self.parser.parse_args([*ARGUMENTS[recipe].split(), "--device", self.device])


class _GridSample:
    """What their autograd function computes."""

    @staticmethod
    def apply(
        value: Tensor, shapes: Tensor, starts: Tensor, locations: Tensor, weights: Tensor, step: int
    ) -> Tensor:
        return grid_sample_form(value, [tuple(s) for s in shapes.tolist()], locations, weights)
