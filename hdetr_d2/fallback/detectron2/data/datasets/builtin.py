"""COCO 2017 and LVIS v1 under their usual names.

They are expected in the folder named by the environment variable DETECTRON2_DATASETS, or in
./datasets: coco/{train2017,val2017,annotations} and lvis/.
"""

import os

from detectron2._subset import absent

from ..catalog import MetadataCatalog
from .builtin_meta import _get_builtin_metadata
from .coco import register_coco_instances
from .lvis import register_lvis_instances

__getattr__ = absent(__name__)

_COCO = {
    "coco_2017_train": ("train2017", "instances_train2017"),
    "coco_2017_val": ("val2017", "instances_val2017"),
    "coco_2017_test": ("test2017", "image_info_test2017"),
    "coco_2017_test-dev": ("test2017", "image_info_test-dev2017"),
    "coco_2017_val_100": ("val2017", "instances_val2017_100"),
}
_LVIS = {
    "lvis_v1_train": "lvis_v1_train",
    "lvis_v1_val": "lvis_v1_val",
    "lvis_v1_test_dev": "lvis_v1_image_info_test_dev",
    "lvis_v1_test_challenge": "lvis_v1_image_info_test_challenge",
}


def register_all_coco(root: str) -> None:
    for name, (images, annotations) in _COCO.items():
        register_coco_instances(
            name,
            _get_builtin_metadata("coco"),
            os.path.join(root, f"coco/annotations/{annotations}.json"),
            os.path.join(root, f"coco/{images}"),
        )
    for split in ("train", "val"):
        # For panoptic data sets, only what is known without their files.
        metadata = MetadataCatalog.get(f"coco_2017_{split}_panoptic")
        metadata.set(**_get_builtin_metadata("coco_panoptic_standard"))


def register_all_lvis(root: str) -> None:
    # The class names are not repeated here: the json contains a thousand of them.
    for name, annotations in _LVIS.items():
        json_file = os.path.join(root, f"lvis/{annotations}.json")
        register_lvis_instances(name, {}, json_file, os.path.join(root, "coco/"))


_root = os.path.expanduser(os.getenv("DETECTRON2_DATASETS", "datasets"))
register_all_coco(_root)
register_all_lvis(_root)
