"""What is said of image files before the first is used."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hdetr_d2.data.check import check_data
from hdetr_d2.data.registration import register_datasets
from hdetr_d2.data.survey import pages_sentence, pixel_range, survey


def write(folder: Path, name: str, highest: int, dtype: str = "uint16") -> str:
    Image.fromarray(np.array([[0, highest]], dtype=dtype)).save(folder / name)
    return str(folder / name)


@pytest.mark.parametrize(
    ("highest", "white"),
    [(200, 255), (256, 1023), (4015, 4095), (4096, 16383), (65535, 65535)],
)
def test_one_range_for_a_data_set(
    highest: int, white: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values = {"a.png": 7, "b.png": highest, "c.tif": 1}
    deep = [write(tmp_path, name, value) for name, value in values.items()]
    others = [write(tmp_path, "d.png", 255, "uint8"), write(tmp_path, "e.jpg", 9, "uint8")]
    with caplog.at_level(logging.WARNING):
        found = survey([*others, *deep, str(tmp_path / "gone.png")])
        assert found.deep == deep
        assert found.with_pages == []
        assert pixel_range(found.deep, found.highest) == white
    assert (
        f"3 image files have more than 8 bits a pixel, with values up to {highest}: {white} is"
        in (caplog.text)
    )


def test_eight_bits_have_no_range(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = survey([write(tmp_path, "a.png", 255, "uint8")])
    assert pixel_range(found.deep, found.highest) is None
    assert survey([]) == ([], [], 0)
    assert caplog.text == ""


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.webp", "a.png"])
def test_files_with_several_pages(name: str, tmp_path: Path) -> None:
    pages = [Image.new("RGB", (4, 4), colour) for colour in ("red", "green", "blue")]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / f"one_{name}")
    found = survey([str(tmp_path / f"one_{name}"), str(tmp_path / name)])
    assert found.with_pages == [str(tmp_path / name)]
    assert pages_sentence(found.with_pages) == (
        f"an image file has several pages, of which the first is read: {tmp_path / name}"
    )


@pytest.fixture
def deep_data(tmp_path: Path) -> dict:
    """A data set of one 12-bit image of two pages."""
    pages = [Image.fromarray(np.full((8, 10), value, np.uint16)) for value in (4000, 9)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4], "area": 16, "iscrowd": 0}
    content = {
        "images": [{"id": 1, "file_name": "a.tif", "width": 10, "height": 8}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [{"id": 1, **box}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    files = {"json": str(tmp_path / "a.json"), "images": str(tmp_path)}
    return {f"{s}_{k}": v for s in ("train", "val") for k, v in {"name": "deep", **files}.items()}


def test_training_and_check_data_say_it(deep_data: dict, caplog: pytest.LogCaptureFixture) -> None:
    assert register_datasets({**deep_data, "pixel_range": None}).pixel_range == 4095
    assert "values up to 4000: 4095 is taken as white" in caplog.text
    assert "an image file has several pages, of which the first is read" in caplog.text
    report = check_data(deep_data["train_json"], deep_data["train_images"])
    kinds = [problem.kind for problem in report.problems if not problem.is_error]
    assert {"files with several pages", "more than 8 bits a pixel"} <= set(kinds)


def test_a_range_that_is_given_stays(deep_data: dict, caplog: pytest.LogCaptureFixture) -> None:
    assert register_datasets({**deep_data, "pixel_range": 5000}).pixel_range == 5000
    assert "is taken as white" not in caplog.text
