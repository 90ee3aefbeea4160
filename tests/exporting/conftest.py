"""A tiny detector, exported once for all tests of this folder and process."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.config import instantiate
from omegaconf import DictConfig
from PIL import Image

from hdetr_d2.data import DetrMapper, RandomShortSide
from hdetr_d2.exporting import export
from hdetr_d2.inference.loading import TrainedDetector

NAMES = ("a", "b", "c")


def detector_of(model: torch.nn.Module, augmentations: tuple = ()) -> TrainedDetector:
    mapper = DetrMapper(augmentations=augmentations, is_train=False)
    return TrainedDetector(model.eval(), mapper, NAMES)


def with_few_operators(model: DictConfig, points: int = 2) -> DictConfig:
    """A small node of a model with two decoder layers and so many points on a level: the time of a
    trace, and of what is made of it, goes with the number of operators.
    """
    model.decoder.num_layers = 2
    if "num_points" in model.encoder.sizes:
        model.encoder.sizes.num_points = points
    return model


@pytest.fixture(scope="session")
def few_operators() -> Callable[..., DictConfig]:
    return with_few_operators


class MadeOnce:
    """Within `with made_once():` a plan of one detector is traced, and what comes of it translated
    for ONNX, the first time only.
    """

    def __init__(self) -> None:
        self.programs: dict[Any, Any] = {}
        self.translations: dict[int, Any] = {}
        self.export = importlib.import_module("hdetr_d2.exporting.export")

    @contextmanager
    def __call__(self) -> Iterator[None]:
        trace, translate = self.export.trace, torch.onnx.export

        def traced(graph: Any, plan: Any) -> Any:
            if plan not in self.programs:
                self.programs[plan] = trace(graph, plan)
            return self.programs[plan]

        def translated(program: Any, **options: Any) -> Any:
            if id(program) not in self.translations:
                self.translations[id(program)] = translate(program, **options)
            return self.translations[id(program)]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.export, "trace", traced)
            patch.setattr(torch.onnx, "export", translated)
            yield


@pytest.fixture
def made_once() -> MadeOnce:
    return MadeOnce()


@pytest.fixture(scope="session")
def tiny_detector(tiny_config) -> TrainedDetector:
    """Two-stage, with mixed selection, a level that the backbone has not, and a resize rule."""
    torch.manual_seed(0)
    node = with_few_operators(tiny_config("common/models/deformable_detr_pp.py").model)
    node.backbone.out_features = ["res4", "res5"]
    node.neck.update(in_shapes=[192, 96], num_levels=3)
    return detector_of(instantiate(node), (RandomShortSide([48], 80),))


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
    """`exported("onnx")`: the path of the detector in that format, for one image of 64 x 96; or for
    those of the options.
    """
    folder, once = tmp_path_factory.mktemp("exported"), MadeOnce()
    names = {"onnx": "tiny.onnx", "openvino": "tiny_openvino", "torch": "tiny.pt2"}
    one_size = {"size": (64, 96), "batch": 1, "images": photos}
    done: dict[str, Path] = {}

    def path_of(name: str, **options: object) -> Path:
        key = f"{name} {options}"
        if key not in done:
            target = folder / str(len(done)) / names[name]
            with once():
                done[key] = export(tiny_detector, target, format=name, **(options or one_size))
        return done[key]

    return path_of
