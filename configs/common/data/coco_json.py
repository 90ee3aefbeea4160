"""Your own data in COCO's format: two json files and their image folders, given as overrides.

data.train_json=... data.train_images=... data.val_json=... data.val_images=...
"""

from .coco import data, dataloader

data.update(train_json=None, train_images=None, val_json=None, val_images=None)
data.train.update(name="custom_train", json="${data.train_json}", images="${data.train_images}")
data.val.update(name="custom_val", json="${data.val_json}", images="${data.val_images}")
