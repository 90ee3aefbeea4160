"""Pictures of images with five channels of 16 bits: on a page, on a sheet and as predictions."""

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from hdetr_d2.commands import contact_sheet, predict, report
from hdetr_d2.data.shapes import generate_shapes
from hdetr_d2.pixels import MultiChannel
from hdetr_d2.runtime import InferenceOptions, Predictor
from hdetr_d2.runtime.shapes import Shapes
from hdetr_d2.visualization.contact_sheet import GAP, MARGIN

SHOWN = (4, 1, 0)
DATA = ["data.channels=5", "data.pixel_range=65535", f"data.shown_channels={[*SHOWN]}"]
# Values of the three stripes of an image in each channel, and what they are in a picture: red is
# channel 4, green channel 1, which says nothing, and blue channel 0.
STRIPES = {0: (1000, 2000, 3000), 1: (7, 7, 7), 2: (0, 9, 9), 3: (9, 0, 0), 4: (60000, 0, 30000)}
COLORS = ((255, 0, 0), (0, 0, 127), (127, 0, 255))


class OneBox:
    """A detector that finds the upper left corner."""

    class_names = ("circle", "square", "triangle", "cross")
    image_format = MultiChannel(5, 65535, SHOWN)

    def read(self, entry: dict) -> dict:
        return entry

    def find(self, batch: list[dict]) -> list[Shapes]:
        box = np.array([[0, 0, 6, 6]], np.float32)
        return [Shapes(box, np.array([1]), np.array([0.9], np.float32)) for _ in batch]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two images to evaluate on, 60 pixels wide and high: three stripes of 20 pixels each."""
    generate_shapes(root=tmp_path / "deep", num_train=1, num_val=2, image_size=60, channels=5)
    rows = np.array([np.repeat(STRIPES[channel], 20) for channel in range(5)], np.uint16)
    pixels = np.repeat(rows[:, None], 60, axis=1)  # [5, 60, 60]
    for path in (tmp_path / "deep" / "val").iterdir():
        tifffile.imwrite(path, pixels, planarconfig="separate", photometric="minisblack")
    return tmp_path / "deep"


@pytest.fixture
def run(root: Path, make_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    predictor = object.__new__(Predictor)
    predictor.detector = OneBox()
    monkeypatch.setattr(InferenceOptions, "open", lambda *_: predictor)
    return make_run("run", *DATA, data=root)


def stripes(picture: Image.Image, left: int, y: int, zoom: float = 1) -> np.ndarray:
    """RGB in the middle of the stripes."""
    middles = [left + round(zoom * x) for x in (10, 30, 50)]
    return np.array([picture.getpixel((x, y)) for x in middles])


def test_a_page_shows_the_chosen_channels(run: Path) -> None:
    assert report.main([str(run)]) == 0
    found = re.findall(r'id="picture-\d+">([^<]+)<', (run / "report.html").read_text())
    assert len(found) == 2
    for text in found:
        picture = Image.open(io.BytesIO(base64.b64decode(text)))
        assert picture.size == (60, 60)
        np.testing.assert_allclose(stripes(picture, 0, 30), COLORS, atol=12)  # JPEG


def test_a_sheet_shows_the_chosen_channels(run: Path, root: Path) -> None:
    truth = json.loads((root / "annotations/val.json").read_text())
    truth["annotations"] = []  # no box over the pixels that are looked at
    (root / "annotations/val.json").write_text(json.dumps(truth))
    assert contact_sheet.main([str(run), "--device", "cpu"]) == 0
    sheet = Image.open(run / "contact_sheet.png")
    below = sheet.height - MARGIN - 10
    cell = 260
    for left in (MARGIN, MARGIN + cell + GAP):  # true, predicted
        np.testing.assert_array_equal(stripes(sheet, left, below, cell / 60), COLORS)


def test_drawn_predictions_show_the_chosen_channels(run: Path, root: Path, tmp_path: Path) -> None:
    output = tmp_path / "found"
    assert predict.main(["m.pth", str(root / "val"), "--output", str(output)]) == 0
    pictures = sorted((output / "pictures").iterdir())
    assert [path.name for path in pictures] == ["000000.tif", "000001.tif"]
    for path in pictures:
        np.testing.assert_array_equal(stripes(Image.open(path), 0, 50), COLORS)
