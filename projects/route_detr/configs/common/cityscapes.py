"""The instances of Cityscapes in COCO's format, in cityscapes/annotations below
$DETECTRON2_DATASETS or datasets.

The two json files are those that the converters of Mask R-CNN's reimplementations write,
instancesonly_filtered_gtFine_train.json and ..._val.json, with paths below leftImg8bit/.
"""

import os

from .....configs.common.data.coco import data, dataloader

_root = os.path.join(os.getenv("DETECTRON2_DATASETS", "datasets"), "cityscapes/")
for split in ("train", "val"):
    data[f"{split}_name"] = f"cityscapes_instances_{split}"
    data[f"{split}_json"] = f"{_root}annotations/instancesonly_filtered_gtFine_{split}.json"
    data[f"{split}_images"] = f"{_root}leftImg8bit/{split}"

# As Detectron2's baselines: images of 1024 x 2048 at most at their own size.
dataloader.train.mapper.augmentations[1].update(
    sides=[800, 832, 864, 896, 928, 960, 992, 1024], max_size=2048
)
dataloader.test.mapper.augmentations[0].update(sides=[1024], max_size=2048)
dataloader.train.total_batch_size = 8
