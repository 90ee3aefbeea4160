"""The training step of Hugging Face's transformers, if installed."""

import torch
from inference_peers import PIXEL_MEAN, PIXEL_STD, TRANSFORMERS, deformable_detr
from torch import Tensor
from train_step_sides import CLASSES, Batch, Step

RECIPES = ("deformable_detr/deformable_detr_two_stage_r50_50ep.py",)
"""Our recipe, with which theirs is compared."""


def transformers_step(batch: Batch, dropout: float, device: str) -> Step:
    """The step of their two-stage model with box refinement, with its own random weights.

    Raises:
        SystemExit: transformers is not installed.
    """
    model = deformable_detr(CLASSES, device, dropout=dropout)
    if model is None:
        raise SystemExit(f"{TRANSFORMERS} is not installed.")
    model.train()
    images = [(image - PIXEL_MEAN) / PIXEL_STD for image in batch.images]
    pixels = torch.stack(images).to(device)
    labels = [
        {"class_labels": classes.to(device), "boxes": boxes.to(device)}
        for classes, boxes in zip(batch.labels, batch.boxes, strict=True)
    ]

    def losses() -> dict[str, Tensor]:
        return {"loss": model(pixels, labels=labels).loss}

    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4, weight_decay=1e-4)
    return Step(model, losses, optimizer)
