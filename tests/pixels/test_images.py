"""Every kind of image file becomes upright 8-bit RGB, and a broken one is named."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hdetr_d2.pixels.images import (
    ORIENTATION,
    BadImageError,
    check_size,
    read_image,
    to_rgb,
)

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


# What is stored, what the data set says is white, and what is read; 60 of 4095 is 3.7 of 255.
DEPTHS = [
    ("uint16", None, [0, 257, 65535], [0, 1, 255]),
    ("uint16", 4095, [0, 60, 4095], [0, 3, 255]),
    ("uint16", 255, [0, 60, 255], [0, 60, 255]),
    ("uint16", None, [0, 60, 255], [0, 0, 0]),  # a dark image stays dark
    ("int16", None, [0, 60, 255], [0, 60, 255]),
    ("int32", None, [0, 60, 255], [0, 60, 255]),
    ("int32", None, [0, 257, 65535], [0, 1, 255]),
    ("int32", 4095, [0, 60, 255], [0, 3, 15]),
    ("uint32", 1_000_000, [0, 500_000, 1_000_000], [0, 127, 255]),
    ("int64", None, [0, 60, 255], [0, 60, 255]),
    (">u2", 4095, [0, 60, 4095], [0, 3, 255]),
]


@pytest.mark.parametrize(("dtype", "white", "stored", "read"), DEPTHS)
def test_deep_pixels(
    dtype: str, white: int | None, stored: list[int], read: list[int], tmp_path: Path
) -> None:
    values = np.array([stored], dtype=dtype)
    assert to_rgb(values, white)[0].tolist() == [[value] * 3 for value in read]
    colours = np.stack([values, values[:, ::-1], values], axis=-1)
    expected = np.stack([read, read[::-1], read], axis=-1)
    assert to_rgb(colours, white)[0].tolist() == expected.tolist()
    if dtype != "int64":  # no format of Pillow's has it
        Image.fromarray(values).save(tmp_path / "deep.tif")
        assert read_image(tmp_path / "deep.tif", white)[0, :, 1].tolist() == read


@pytest.mark.parametrize(
    ("values", "white", "sentence"),
    [
        (np.array([[4096]], np.uint16), 4095, "pixel 4096, above the range that data.pixel_range"),
        (np.array([[65536]], np.int32), None, "pixel 65536, above the range of 16 bits"),
        (np.array([[-1024]], np.int16), None, r"negative pixels \(-1024\)"),
        (np.array([[0.5]], np.float32), None, "floating-point pixels"),
        (np.zeros((2, 2, 3), np.float32), None, r"float32 \[2, 2, 3\] is no image"),
    ],
)
def test_pixels_out_of_range(values: np.ndarray, white: int | None, sentence: str) -> None:
    with pytest.raises(BadImageError, match=sentence):
        to_rgb(values, white)


def test_colours_of_sixteen_bits_are_read_by_their_upper_byte_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "deep.png").write_bytes(png_of_sixteen_bits(np.array([[[0, 256, 65535]]])))
    assert read_image(tmp_path / "deep.png").tolist() == [[[0, 1, 255]]]
    with pytest.raises(BadImageError, match=r"deep\.png has colours of 16 bits"):
        read_image(tmp_path / "deep.png", 4095)


def png_of_sixteen_bits(values: np.ndarray) -> bytes:
    """Of one row [1, W, 3]; Pillow cannot write it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", values.shape[1], 1, 16, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" + values.astype(">u2").tobytes())
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_floating_point_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((2, 2), dtype=np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(BadImageError, match=r"float\.tif has floating-point pixels"):
        read_image(tmp_path / "float.tif")


# Where the upper left corner of the stored image (the bright pixel of a 3 x 2 one) is to be seen.
CORNERS = {1: (0, 0), 2: (0, 2), 3: (1, 2), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (2, 1), 8: (2, 0)}


@pytest.mark.parametrize("mode", ["L", "I;16"])
@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("orientation", CORNERS)
def test_the_exif_orientation_is_applied(
    orientation: int, ending: str, mode: str, tmp_path: Path
) -> None:
    values = np.zeros((2, 3), dtype=np.uint8 if mode == "L" else np.uint16)
    values[0, 0] = np.iinfo(values.dtype).max
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(values).save(tmp_path / f"turned.{ending}", exif=exif)
    pixels = read_image(tmp_path / f"turned.{ending}")
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
    with pytest.raises(
        BadImageError,
        match="a.jpg is 40 x 30 pixels, .* says 50 x 30; where .*sizes_from_files=True",
    ):
        check_size("a.jpg", image, 50, 30)
    with pytest.raises(BadImageError, match="EXIF"):
        check_size("a.jpg", image, 30, 40)


def test_the_bytes_of_a_file_are_an_image(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3)).save(path)
    assert (to_rgb(path.read_bytes()) == read_image(path)).all()
    for content, reason in ((b"no image", "its format is unknown"), (path.read_bytes()[:50], "")):
        with pytest.raises(BadImageError, match=f"^an image in memory cannot be read .*{reason}"):
            to_rgb(content)
