"""A recorded case as this project's models take it."""

import hdetr_d2  # noqa: F401

import torch
from detectron2.structures import Boxes, Instances
from golden import Case


def training_inputs(case: Case) -> list[dict]:
    """Detectron2's training inputs; an image's own size is that of the fed image."""
    batch = []
    for index, (image, target) in enumerate(zip(case.images, case.targets, strict=True)):
        height, width = image.shape[-2:]
        centre, size = target["boxes"].split(2, -1)
        xyxy = torch.cat([centre - size / 2, centre + size / 2], -1)
        xyxy = xyxy * torch.tensor([width, height, width, height])
        instances = Instances((height, width), gt_boxes=Boxes(xyxy), gt_classes=target["labels"])
        batch.append({"image": image, "instances": instances, "image_id": index})
    return batch
