"""Your own data in COCO's format: two json files and their image folders, given as overrides.

data.train_json=... data.train_images=... data.val_json=... data.val_images=...
"""

from .coco import data, dataloader

__all__ = ["data", "dataloader"]

data.update(train_name="custom_train", val_name="custom_val")
