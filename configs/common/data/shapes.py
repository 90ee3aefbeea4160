"""The generated "shapes" data set: written once to `data.generate.root`, small enough for a CPU."""

from detectron2.config import LazyCall as L
from torchvision.transforms import v2

from hdetr_d2.data.shapes import generate_shapes

from .coco import data, dataloader

__all__ = ["data", "dataloader"]

data.generate = L(generate_shapes)(
    root="datasets/shapes",
    num_train=1000,
    num_val=200,
    image_size=128,
    num_classes=4,
    max_objects=8,
    seed=0,  # not the training's seed: runs with other seeds use the same data
)
for split in ("train", "val"):
    data[f"{split}_name"] = f"shapes_{split}"
    data[f"{split}_json"] = "${data.generate.root}/annotations/" + f"{split}.json"
    data[f"{split}_images"] = "${data.generate.root}/" + split

# All images have the same size and need no resizing.
dataloader.train.mapper.augmentations = [L(v2.RandomHorizontalFlip)(p=0.5)]
dataloader.train.num_workers = 2
dataloader.test.mapper.augmentations = []
dataloader.test.batch_size = 8
dataloader.test.num_workers = 2
