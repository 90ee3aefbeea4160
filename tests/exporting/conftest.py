"""A tiny detector, exported once for all tests of this folder and process."""

from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import instantiate
from PIL import Image

from hdetr_d2.data import DetrMapper, RandomShortSide
from hdetr_d2.exporting import export
from hdetr_d2.inference.loading import TrainedDetector

NAMES = ("a", "b", "c")


def detector_of(model: torch.nn.Module, augmentations: tuple = ()) -> TrainedDetector:
    mapper = DetrMapper(augmentations=augmentations, is_train=False)
    return TrainedDetector(model.eval(), mapper, NAMES)


@pytest.fixture(scope="session")
def tiny_detector(tiny_config) -> TrainedDetector:
    """Two-stage, with mixed selection, and a resize rule."""
    torch.manual_seed(0)
    model = instantiate(tiny_config("common/models/deformable_detr_pp.py").model)
    return detector_of(model, (RandomShortSide([48], 80),))


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for index, size in enumerate(((60, 90), (50, 40), (48, 64))):
        small = generator.integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC).save(
            folder / f"{index}.png"
        )
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory, tiny_detector, photos):
    """`exported("onnx")`: the path of the detector in that format, for one image of 64 x 96."""
    folder = tmp_path_factory.mktemp("exported")
    names = {"onnx": "tiny.onnx", "openvino": "tiny_openvino", "torch": "tiny.pt2"}
    done: dict[str, Path] = {}

    def path_of(name: str) -> Path:
        if name not in done:
            target = folder / names[name]
            done[name] = export(
                tiny_detector, target, format=name, size=(64, 96), batch=1, images=photos
            )
        return done[name]

    return path_of
