"""Deformable-DETR of Hugging Face's transformers, if installed."""

from typing import Any

import torch
from timing import Side
from torch import Tensor

try:
    import transformers
except ImportError:
    transformers = None
TRANSFORMERS = f"transformers {transformers.__version__}" if transformers else "transformers"

PIXEL_MEAN = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
PIXEL_STD = torch.tensor([58.395, 57.12, 57.375])[:, None, None]


def deformable_detr(classes: int, device: str, **options: Any) -> Any:
    """Two-stage with box refinement, with random weights. None if transformers is not installed."""
    if transformers is None:
        return None
    from transformers import DeformableDetrConfig, DeformableDetrForObjectDetection

    config = DeformableDetrConfig(
        two_stage=True, with_box_refine=True, num_labels=classes, **options
    )
    return DeformableDetrForObjectDetection(config).to(device)


def transformers_side(
    images: list[Tensor], classes: int, device: str, smoke: bool = False
) -> Side | None:
    """Detects objects in images of one size. None if transformers is not installed."""
    small = dict(encoder_layers=1, decoder_layers=1, num_queries=10, two_stage_num_proposals=10)
    model = deformable_detr(classes, device, **(small if smoke else {}))
    if model is None:
        return None
    from transformers.models.deformable_detr import DeformableDetrImageProcessor

    model.eval()
    finish = DeformableDetrImageProcessor().post_process_object_detection
    sizes = [tuple(image.shape[-2:]) for image in images]

    def detect() -> None:
        with torch.inference_mode():
            pixels = torch.stack([(image - PIXEL_MEAN) / PIXEL_STD for image in images]).to(device)
            finish(model(pixels), threshold=0.0, target_sizes=sizes, top_k=100)

    return detect
