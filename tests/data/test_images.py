"""Every kind of image file becomes upright 8-bit RGB, and a broken one is named."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hdetr_d2.data.images import ORIENTATION, BadImageError, check_size, read_image

RED, GREEN = (255, 0, 0), (0, 255, 0)


def two_pixels(mode: str) -> Image.Image:
    """Red on the left, green on the right."""
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), GREEN)
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_colours_survive(mode: str, tmp_path: Path) -> None:
    path = tmp_path / f"image.{'tif' if mode == 'CMYK' else 'png'}"
    two_pixels(mode).save(path)
    assert read_image(path).tolist() == [[[255, 0, 0], [0, 255, 0]]]


def test_a_transparent_palette_keeps_its_colours(tmp_path: Path) -> None:
    two_pixels("P").save(tmp_path / "image.png", transparency=b"\x00\x80")
    assert read_image(tmp_path / "image.png").tolist() == [[[255, 0, 0], [0, 255, 0]]]


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_is_three_equal_channels(mode: str, tmp_path: Path) -> None:
    Image.new("L", (3, 2), 255).convert(mode).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png").tolist() == [[[255] * 3] * 3] * 2


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 257, 257 * 128, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png")[0, :, 0].tolist() == [0, 1, 128, 255]


def test_floating_point_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((2, 2), dtype=np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(BadImageError, match=r"float\.tif has floating-point pixels"):
        read_image(tmp_path / "float.tif")


# Where the upper left corner of the stored image (the bright pixel of a 3 x 2 one) is to be seen.
CORNERS = {1: (0, 0), 2: (0, 2), 3: (1, 2), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (2, 1), 8: (2, 0)}


@pytest.mark.parametrize("orientation", CORNERS)
def test_the_exif_orientation_is_applied(orientation: int, tmp_path: Path) -> None:
    image = Image.new("L", (3, 2), 0)
    image.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image.save(tmp_path / "turned.png", exif=exif)
    pixels = read_image(tmp_path / "turned.png")
    assert pixels.shape == ((2, 3, 3) if orientation < 5 else (3, 2, 3))
    assert tuple(np.argwhere(pixels[..., 0])[0]) == CORNERS[orientation]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadImageError, match=r"gone\.png does not exist"):
        read_image(tmp_path / "gone.png")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_truncated_file_is_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"image.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BadImageError, match=rf"image\.{suffix} cannot be read as an image"):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_no_image_at_all_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_bytes(content)
    with pytest.raises(BadImageError, match=r"page\.jpg cannot be read as an image"):
        read_image(tmp_path / "page.jpg")


def test_another_size_than_stated_is_a_sentence() -> None:
    image = np.zeros((30, 40, 3), dtype=np.uint8)
    check_size("a.jpg", image, 40, 30)
    with pytest.raises(BadImageError, match="a.jpg is 40 x 30 pixels, .* says 50 x 30$"):
        check_size("a.jpg", image, 50, 30)
    with pytest.raises(BadImageError, match="EXIF"):
        check_size("a.jpg", image, 30, 40)
