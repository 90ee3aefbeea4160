"""A detector of images of 16 bits in five channels, in every format, on TIFF and .npy files."""

from hdetr_d2 import Predictor

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from detectron2.config import instantiate
from PIL import Image

from hdetr_d2.data import DetrMapper, RandomShortSide
from hdetr_d2.exporting import export
from hdetr_d2.exporting.formats import FORMATS
from hdetr_d2.inference.files import find_images
from hdetr_d2.inference.loading import TrainedDetector
from hdetr_d2.pixels import BadImageError
from hdetr_d2.pixels.resize_rule import ResizeRule
from hdetr_d2.runtime.card import Card
from hdetr_d2.runtime.timing import Setting, _serve

SIZE = (48, 64)


@pytest.fixture(scope="module")
def detector(tiny_config) -> TrainedDetector:
    """The one that is traced soonest, with the resize that is the same without PyTorch."""
    torch.manual_seed(0)
    cfg = tiny_config("common/models/detr.py")
    cfg.model.backbone.in_chans = 5
    cfg.model.preprocessing.update(pixel_mean=[120.0] * 5, pixel_std=[60.0] * 5)
    resize = RandomShortSide([48], 64, ResizeRule(interpolation="pillow"))
    channels = {"channels": 5, "pixel_range": 4095, "shown_channels": [4, 3, 0]}
    mapper = DetrMapper(augmentations=[resize], is_train=False, **channels)
    return TrainedDetector(instantiate(cfg.model).eval(), mapper, ("a", "b", "c"))


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    values = np.random.default_rng(0).integers(0, 4096, (60, 80, 5)).astype(np.uint16)
    np.save(folder / "a.npy", values)
    tifffile.imwrite(folder / "b.tif", values, photometric="minisblack", planarconfig="contig")
    return folder


def found_by(predictor: Predictor, image: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    (seen,) = predictor.detect([image])
    assert not isinstance(seen, BadImageError), seen
    return seen.shapes.boxes, seen.shapes.classes, seen.shapes.scores


def predictor_of(detector: TrainedDetector) -> Predictor:
    predictor = object.__new__(Predictor)
    predictor.detector = detector
    return predictor


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_objects_in_every_format_and_file(
    name: str, detector: TrainedDetector, images: Path, tmp_path: Path
) -> None:
    target = tmp_path / f"five{FORMATS[name].ending}"
    predictor = Predictor(export(detector, target, format=name, size=SIZE, batch=1, images=images))
    card: Card = predictor.detector.card
    assert (card.channels, card.pixel_range, card.shown_channels) == (5, 4095, (4, 3, 0))
    assert card.pixel_mean == (120.0,) * 5
    files = find_images(images, image_format=predictor.detector.image_format)
    assert [file.name for file in files] == ["a.npy", "b.tif"]
    expected = found_by(predictor_of(detector), files[0])
    assert len(expected[0]) > 5
    for image in (*files, np.load(files[0]), np.load(files[0]).transpose(2, 0, 1)):
        found = found_by(predictor, image)
        np.testing.assert_allclose(found[2], expected[2], atol=1e-4)
        best = expected[2] > expected[2][-1] + 1e-3  # nearly equal ones may change places
        np.testing.assert_allclose(
            np.sort(found[0][best], 0), np.sort(expected[0][best], 0), atol=0.05
        )
    picture = predictor.picture(predictor.detector.image_format.read(files[1]))
    assert (picture.size, picture.mode) == ((80, 60), "RGB")
    with pytest.raises(BadImageError, match="an image in memory is 4 x 4 x 3, but data.channels=5"):
        predictor(np.zeros((4, 4, 3), np.uint16))


def test_tiles_of_five_channels(detector: TrainedDetector, images: Path) -> None:
    tiled = predictor_of(detector).tiled(48)
    boxes, _, scores = found_by(tiled, images / "a.npy")
    assert boxes.shape == (len(scores), 4)


def test_a_benchmark_feeds_five_channels(detector: TrainedDetector) -> None:
    class Pipe:
        def __init__(self) -> None:
            self.sent: list = []

        def send(self, item: object) -> None:
            self.sent.append(item)

        def recv(self) -> str:
            if len(self.sent) > 1:
                raise EOFError
            return "run"

    pipe = Pipe()
    with pytest.raises(EOFError):
        _serve(pipe, lambda: detector, Setting((48, 64)))
    assert pipe.sent[0] == 0.0


def test_pillows_grey_deep_images_are_one_channel(tmp_path: Path, tiny_config) -> None:
    cfg = tiny_config("common/models/detr.py")
    cfg.model.backbone.in_chans = 1
    cfg.model.preprocessing.update(pixel_mean=[120.0], pixel_std=[60.0])
    mapper = DetrMapper(is_train=False, channels=1, pixel_range=65535)
    predictor = predictor_of(TrainedDetector(instantiate(cfg.model).eval(), mapper, ("a",) * 3))
    image = Image.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64))
    image.save(tmp_path / "a.png")
    for first, second in zip(
        found_by(predictor, tmp_path / "a.png"), found_by(predictor, image), strict=True
    ):
        assert (first == second).all()
