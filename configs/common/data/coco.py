"""COCO 2017 with DETR's augmentation.

Detectron2 looks for it in $DETECTRON2_DATASETS/coco, or in datasets/coco.
"""

from detectron2.config import LazyCall as L
from torchvision.transforms import v2

from hdetr_d2.data import (
    DetrMapper,
    RandomShortSide,
    ResizeOrCrop,
    build_test_loader,
    build_train_loader,
)
from hdetr_d2.evaluation import COCOEvaluator
from hdetr_d2.pixels.resize_rule import ResizeRule

data = dict(
    train_name="coco_2017_train",
    train_json=None,  # with a json and an image folder, the name of a new data set
    train_images=None,
    val_name="coco_2017_val",
    val_json=None,
    val_images=None,
    # A folder in any format listed in docs/DATA.md, which replaces all of these
    folder=None,
    val_share=None,  # fraction of its images for validation, if there is no such split; null: 0.2
    split_seed=None,  # selects these images; null: 0
    num_classes=None,  # set from the json
    class_names=None,  # set from the json
    thing_classes=[],  # set from the json: indices of the countable classes
    image_counts=None,  # set from the training json: number of images with each class
    train_panoptic=None,  # the folder of the PNGs of a panoptic json
    val_panoptic=None,
    channels=None,  # of every image, which the model follows; null: 8-bit RGB: docs/CHANNELS.md
    # White level of pixels with more than 8 bits, such as 4095; null: measured
    pixel_range=None,
    shown_channels=None,  # displayed in pictures, such as [4,1,0]; null: the first three
    # How sizes are rounded and pixels interpolated: docs/DATA.md
    resize=L(ResizeRule)(rounding="nearest", interpolation="torch"),
    # Side in pixels of random tiles of large images: docs/LARGE_IMAGES.md
    tile=None,
    keep_empty=False,  # True: also train on images without objects
    crowds_as_objects=False,  # True: learn and evaluate annotations with iscrowd as objects
    skip_classes=[],  # names of classes that are left out with their objects, such as [animals]
    sizes_from_files=False,  # True: take width and height of images from the files
    on_missing_mask="stop",  # or skip: if masks are learned, leave out objects without one
    repeat_threshold=None,  # 0.001: repeat images with a class that is in fewer than 0.1% of them
    generate=None,  # a node that generates the data set before it is read
)

dataloader = dict(
    train=L(build_train_loader)(
        dataset="${data.train_name}",
        mapper=L(DetrMapper)(
            augmentations=[
                L(v2.RandomHorizontalFlip)(p=0.5),
                L(ResizeOrCrop)(
                    sides=[480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800],
                    max_size=1333,
                    medium_sides=[400, 500, 600],
                    crop=[384, 600],
                    rule="${data.resize}",
                ),
            ],
            is_train=True,
            tile="${data.tile}",
            with_masks=False,
            copy_paste=None,
            mosaic=None,  # for this and the next, see ../dense_one_to_one.py
            blends=None,
            teacher=None,
            seed="${train.seed}",
            pixel_range="${data.pixel_range}",
            channels="${data.channels}",
            shown_channels="${data.shown_channels}",
        ),
        total_batch_size=16,  # per optimizer step, over all processes and micro-batches
        num_workers=4,
        seed="${train.seed}",
        keep_empty="${data.keep_empty}",
        repeat_threshold="${data.repeat_threshold}",
        accumulate="${train.accumulate}",
        on_bad_image="stop",  # or skip: take the next good image, with a warning and a count
        patience=300,  # seconds to wait for an image folder that has disappeared, before that
        aspect_grouping=True,
    ),
    test=L(build_test_loader)(
        dataset="${data.val_name}",
        mapper=L(DetrMapper)(
            augmentations=[L(RandomShortSide)(sides=[800], max_size=1333, rule="${data.resize}")],
            is_train=False,
            pixel_range="${data.pixel_range}",
            channels="${data.channels}",
            shown_channels="${data.shown_channels}",
        ),
        num_workers=4,
        batch_size=1,
        on_bad_image="stop",
        patience=300,
    ),
    evaluator=L(COCOEvaluator)(
        dataset_name="${data.val_name}",
        output_dir="${train.output_dir}/inference",
        max_dets_per_image=100,
    ),
)
