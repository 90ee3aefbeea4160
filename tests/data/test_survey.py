"""What is said of image files before the first is used."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
