"""Data sets: registration, the training stream, the mapper and its augmentations."""

from hdetr_d2.data.channel_jitter import ChannelJitter
from hdetr_d2.data.coco_results import read_results
from hdetr_d2.data.copy_blend import CopyBlend
from hdetr_d2.data.copy_paste import CopyPaste
from hdetr_d2.data.during import During
from hdetr_d2.data.loader import build_test_loader, build_train_loader
from hdetr_d2.data.mapper import DetrMapper
from hdetr_d2.data.mix_up import MixUp
from hdetr_d2.data.mosaic import Mosaic
from hdetr_d2.data.panoptic import PanopticMapper
from hdetr_d2.data.registration import DatasetInfo, register_datasets
from hdetr_d2.data.sampler import iterations_per_epoch
from hdetr_d2.data.teacher_results import TeacherResults
from hdetr_d2.data.transforms import (
    ColorJitter,
    LargeScaleJitter,
    RandomShortSide,
    RandomTile,
    ResizeOrCrop,
)
from hdetr_d2.pixels.images import BadImageError, read_image

__all__ = [
    "BadImageError",
    "ChannelJitter",
    "ColorJitter",
    "CopyBlend",
    "CopyPaste",
    "DatasetInfo",
    "DetrMapper",
    "During",
    "LargeScaleJitter",
    "MixUp",
    "Mosaic",
    "PanopticMapper",
    "RandomShortSide",
    "RandomTile",
    "ResizeOrCrop",
    "TeacherResults",
    "build_test_loader",
    "build_train_loader",
    "iterations_per_epoch",
    "read_image",
    "read_results",
    "register_datasets",
]
