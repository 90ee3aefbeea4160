"""Which image files are there, and the sizes of their images, without decoding any."""

from pathlib import Path

import pytest
from PIL import Image

from hdetr_d2.data.present_files import missing_files, sizes_of
from hdetr_d2.pixels.images import ORIENTATION, read_image


def test_missing_files_are_all_named_in_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/b.png"):
        (tmp_path / name).touch()
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    names = [
        "a.png",
        "gone.png",
        "sub/b.png",
        "link.png",
        "sub/../a.png",
        "none/c.png",
        "sub/a.png",
    ]
    missing = missing_files(f"{tmp_path}/{name}" for name in names)
    expected = ["gone.png", "none/c.png", "sub/a.png"]
    assert missing == [f"{tmp_path}/{name}" for name in expected]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
def test_sizes_are_those_of_the_upright_images(kind: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = str(tmp_path / f"image.{kind}")
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    (size,) = sizes_of([path])
    assert size == ((30, 40) if orientation > 4 else (40, 30))
    assert size == read_image(path).shape[1::-1]


def test_what_is_no_image_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    assert sizes_of([str(tmp_path / "text.png"), str(tmp_path / "gone.png")]) == [None, None]
