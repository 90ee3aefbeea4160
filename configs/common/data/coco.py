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
    train_json=None,  # with a json and an image folder, the name is a new data set's
    train_images=None,
    val_name="coco_2017_val",
    val_json=None,
    val_images=None,
    # A folder with data of any format that docs/DATA.md names, in the place of all of these
    folder=None,
    val_share=None,  # of its images, that validate where it has no others; null: 0.2
    split_seed=None,  # which images these are; null: 0
    num_classes=None,  # written from the json
    class_names=None,  # written from the json
    thing_classes=[],  # written from the json: indices of the classes with countable objects
    image_counts=None,  # written from the training json: in how many images each class is
    train_panoptic=None,  # the folder of the PNGs of a panoptic json
    val_panoptic=None,
    channels=None,  # of every image, which the model follows; null: RGB of 8 bits: docs/CHANNELS.md
    # What is white where pixels have more than 8 bits, as 4095; null: found in the files
    pixel_range=None,
    shown_channels=None,  # in pictures, as [4,1,0]; null: the first three
    # How sizes are rounded and pixels interpolated: docs/DATA.md
    resize=L(ResizeRule)(rounding="nearest", interpolation="torch"),
    # Side in pixels of the parts of large images that are learned: docs/LARGE_IMAGES.md
    tile=None,
    keep_empty=False,  # True: train on images without objects too
    crowds_as_objects=False,  # True: learn and evaluate annotations with iscrowd as objects
    skip_classes=[],  # names of classes that are left out with their objects, as [animals]
    sizes_from_files=False,  # True: width and height of images are those of the files
    on_missing_mask="stop",  # or skip: where masks are learned, leave out objects without one
    repeat_threshold=None,  # 0.001: images of a class in fewer than 0.1% come more often
    generate=None,  # a node that writes the data set before it is read
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
            mosaic=None,  # these two: ../dense_one_to_one.py
            blends=None,
            teacher=None,
            seed="${train.seed}",
            pixel_range="${data.pixel_range}",
            channels="${data.channels}",
            shown_channels="${data.shown_channels}",
        ),
        total_batch_size=16,  # of one optimizer step: all processes and micro-batches together
        num_workers=4,
        seed="${train.seed}",
        keep_empty="${data.keep_empty}",
        repeat_threshold="${data.repeat_threshold}",
        accumulate="${train.accumulate}",
        on_bad_image="stop",  # or skip: take the next good image, with a warning and a count
        patience=300,  # seconds to wait for a folder of images that is gone, before that
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
