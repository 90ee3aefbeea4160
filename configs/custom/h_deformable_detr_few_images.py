"""H-Deformable-DETR on few images of your own, in COCO's format, from a published checkpoint:
convert one first, hdetr-d2 convert FILE --source h-deformable-detr --output models/h_detr.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --config-file configs/custom/h_deformable_detr_few_images.py
           train.init_checkpoint=models/h_detr/model.pth
           data.train_json=train.json data.train_images=train/
           data.val_json=val.json data.val_images=val/
Published: none; classes and their number come from the json, docs/FINETUNE.md tells more
Smoke run: add train.max_iter=20
"""

from .h_deformable_detr_coco_json import data, dataloader, lr_multiplier, model, optimizer, train

data.resize.update(rounding="detr", interpolation="pillow")  # as its authors do
dataloader.train.total_batch_size = 4
optimizer.lr = 1e-4
lr_multiplier.update(milestones=[20], warmup_epochs=1)
train.update(epochs=24, eval_period_epochs=4)
train.checkpoint.period_epochs = 4
