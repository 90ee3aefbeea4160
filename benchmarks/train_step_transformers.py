"""The training step of Hugging Face's transformers, where it is installed."""

import torch
from inference_peers import PIXEL_MEAN, PIXEL_STD, TRANSFORMERS, deformable_detr
from torch import Tensor
from train_step_sides import CLASSES, Batch, Step

RECIPES = ("deformable_detr/deformable_detr_two_stage_r50_50ep.py",)
"""Of ours, which theirs stands beside."""


def transformers_step(batch: Batch, dropout: float, device: str) -> Step:
    """That of their two-stage model with refined boxes, with random weights of its own.

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
