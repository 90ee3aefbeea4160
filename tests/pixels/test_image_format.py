"""Images of any number of channels and any depth: from files to the numbers that a model gets."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from hdetr_d2.errors import UserError
from hdetr_d2.pixels import RGB, BadImageError, MultiChannel, image_format, read_image
from hdetr_d2.pixels.images import ORIENTATION
from hdetr_d2.pixels.stored_files import channels_last, look

# [2, 6, 5]: row r, column c, channel k is 100 r + 10 c + k, and the last one is white.
VALUES = (100 * np.arange(2)[:, None, None] + 10 * np.arange(6)[:, None] + np.arange(5)).astype(
    np.uint16
)
VALUES[1, 5, 4] = 65535
FIVE = MultiChannel(5, 65535)
PLANAR = {"photometric": "minisblack", "planarconfig": "separate"}
SAMPLES = {"photometric": "minisblack", "planarconfig": "contig"}
FIRST = VALUES.transpose(2, 0, 1).copy()


def write(path: Path, values: np.ndarray, **options: object) -> Path:
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        tifffile.imwrite(path, values, **options)
    return path


@pytest.mark.parametrize(
    ("name", "values", "options"),
    [
        ("last.npy", VALUES, {}),
        ("first.npy", FIRST, {}),
        ("big_endian.npy", VALUES.astype(">u2"), {}),
        ("fortran.npy", np.asfortranarray(VALUES), {}),
        ("samples.tif", VALUES, SAMPLES),
        ("planes.tif", FIRST, PLANAR),
        ("pages.tif", FIRST, {}),
        ("pages_without_a_word.tif", FIRST, {"metadata": None}),
        ("rows_as_pages.tif", VALUES, {}),
        ("rgb_and_two.tif", VALUES, {**SAMPLES, "photometric": "rgb"}),
        ("imagej.tif", FIRST, {"imagej": True, "metadata": {"axes": "CYX"}}),
        ("ome.ome.tif", FIRST, {"ome": True, "metadata": {"axes": "CYX"}}),
        ("deflated.tif", VALUES, {**SAMPLES, "compression": "deflate", "predictor": True}),
        ("big.tif", VALUES, {**SAMPLES, "bigtiff": True, "byteorder": ">"}),
    ],
)
def test_the_channels_are_found_and_no_value_is_lost(
    name: str, values: np.ndarray, options: dict, tmp_path: Path
) -> None:
    path = write(tmp_path / name, values, **options)
    found = FIVE.read(path)
    assert found.dtype == np.float32
    assert (found == VALUES / np.float32(257)).all()
    assert (FIVE.take(path.read_bytes()) == found).all()
    assert look(path, 5)[:2] == (2, 6)
    assert FIVE.size(path) == (6, 2)
    assert FIVE.header(path) == (False, True)
    assert FIVE.highest(path) == 65535


def test_all_levels_of_16_bits_stay_apart(tmp_path: Path) -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    one = MultiChannel(1, 65535)
    for path in (write(tmp_path / "a.npy", levels), write(tmp_path / "a.tif", levels)):
        found = one.read(path)
        assert found.shape == (256, 256, 1)
        assert (np.rint(found[..., 0].astype(np.float64) * 257) == levels).all()
        assert (found.min(), found.max()) == (0, 255)
    Image.fromarray(levels).save(tmp_path / "a.png")
    assert (one.read(tmp_path / "a.png") == found).all()


def test_what_is_white_is_255_and_8_bits_stay() -> None:
    deep = np.array([[[0, 4095, 273]]], np.uint16)
    assert MultiChannel(3, 4095).take(deep).tolist() == [[[0, 255, 17]]]
    assert MultiChannel(3, 4095).take(deep[..., ::-1].astype(np.int32)).tolist() == [[[17, 255, 0]]]
    assert MultiChannel(3, 4095).take(np.array([[[0, 9, 255]]], np.uint8)).tolist() == [
        [[0, 9, 255]]
    ]
    assert MultiChannel(3, 1).take(np.array([[[0, 0.5, 1]]])).tolist() == [[[0, 127.5, 255]]]
    assert MultiChannel(1).take(np.array([[65535]], np.uint16)).tolist() == [[[255]]]


@pytest.mark.parametrize(
    ("mode", "pixels"),
    [
        ("L", [[[7]]]),
        ("LA", [[[7, 9]]]),
        ("RGB", [[[7, 8, 9]]]),
        ("RGBA", [[[7, 8, 9, 10]]]),
        ("CMYK", [[[7, 8, 9, 10]]]),
    ],
)
def test_bands_of_other_files_are_channels(mode: str, pixels: list, tmp_path: Path) -> None:
    number = len(pixels[0][0])
    image = Image.new(mode, (1, 1), pixels[0][0][0] if number == 1 else tuple(pixels[0][0]))
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    image.save(path, **({"quality": 100} if mode == "CMYK" else {}))
    found = MultiChannel(number).read(path)
    assert np.abs(found - pixels).max() <= (2 if mode == "CMYK" else 0)
    assert MultiChannel(number).take(image).tolist() == pixels
    assert MultiChannel(number).header(path) == (False, False)
    assert MultiChannel(number).size(path) == (1, 1)


@pytest.mark.parametrize(
    ("name", "values", "options", "sentence"),
    [
        ("a.npy", VALUES[..., :4], {}, "a.npy is 2 x 6 x 4, but data.channels=5: its first or"),
        ("a.tif", VALUES[..., :4], SAMPLES, "a.tif has 4 channel.s., but data.channels=5"),
        ("a.tif", FIRST[:4], PLANAR, "a.tif has 4 channel.s., but data.channels=5"),
        ("a.tif", FIRST[:2], {}, "a.tif is 2 x 2 x 6, but data.channels=5"),
        ("a.npy", VALUES[0], {}, "a.npy is 6 x 5, but data.channels=5"),
        ("a.npy", np.zeros((5, 4, 5), np.uint8), {}, "a.npy is 5 x 4 x 5: .* either end"),
        ("a.npy", VALUES.astype(complex), {}, "a.npy holds complex128, which cannot be pixels"),
        ("a.npy", VALUES - 1.0, {}, "a.npy has pixels from -1.0 to 65534.0, but data.pixel_range"),
        ("a.npy", VALUES * np.nan, {}, "a.npy has pixels from nan to nan"),
        (
            "a.npy",
            VALUES.astype(np.int64) + 1,
            {},
            "a.npy has pixels from 1 to 65536, but data.pix",
        ),
        ("a.npy", VALUES.astype(object), {}, "a.npy cannot be read as an image"),
        ("a.tif", VALUES[..., 0], {"photometric": "miniswhite"}, "a.tif has white as 0"),
    ],
)
def test_what_does_not_fit_is_one_sentence_with_the_file(
    name: str, values: np.ndarray, options: dict, sentence: str, tmp_path: Path
) -> None:
    path = write(tmp_path / name, values, **options)
    with pytest.raises(BadImageError, match=sentence) as caught:
        FIVE.read(path)
    assert "\n" not in str(caught.value)


def test_an_array_that_names_its_axes_may_be_as_wide_as_deep(tmp_path: Path) -> None:
    square = np.arange(125, dtype=np.uint16).reshape(5, 5, 5)
    for options, expected in ((SAMPLES, square), (PLANAR, square.transpose(1, 2, 0))):
        path = write(tmp_path / "a.tif", square, **options)
        assert (FIVE.read(path) == expected / np.float32(257)).all()


@pytest.mark.parametrize("name", ["a.npy", "a.tif", "a.png"])
def test_broken_missing_and_other_files_are_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(BadImageError, match=f"{name} does not exist"):
        FIVE.read(path)
    if path.suffix == ".png":
        path.write_bytes(b"text")
    else:
        content = write(path, VALUES, **({} if path.suffix == ".npy" else SAMPLES)).read_bytes()
        path.write_bytes(content[:-7])
    with pytest.raises(BadImageError, match=f"{name} cannot be read as an image: "):
        FIVE.read(path)
    assert FIVE.highest(path) == 0
    assert FIVE.header(path).has_pages is False


def test_colours_of_16_bits_of_which_pillow_gives_8_are_refused(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "a.png"), VALUES[..., :3])
    with pytest.raises(BadImageError, match=r"a\.png has colours of 16 bits, of which only the"):
        MultiChannel(3, 65535).read(tmp_path / "a.png")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_those_of_pillow(orientation: int, tmp_path: Path) -> None:
    """Of an image of three channels, which both read."""
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    tag = (ORIENTATION, "H", 1, orientation, True)
    write(tmp_path / "a.tif", pixels, photometric="rgb", extratags=[tag])
    three = MultiChannel(3)
    expected = read_image(tmp_path / "a.png")
    assert len({tuple(expected.flatten()), tuple(pixels.flatten())}) == 1 + (orientation > 1)
    for name in ("a.png", "a.tif"):
        assert (three.read(tmp_path / name) == expected).all()
        sizes = [form.size(tmp_path / name) for form in (three, RGB())]
        assert sizes == [expected.shape[1::-1]] * 2


def test_pictures_show_three_channels_between_their_percentiles() -> None:
    pixels = np.zeros((1, 101, 5), np.float32)
    pixels[0, :, 3] = np.arange(101) / 100  # dark, but not black to an eye
    pixels[0, :, 4] = 200
    shown = MultiChannel(5, shown=[3, 0, 4]).picture(pixels)
    assert (shown.shape, shown.dtype) == ((1, 101, 3), np.uint8)
    assert shown[0, [0, 2, 50, 98, 100], 0].tolist() == [0, 0, 127, 254, 255]
    assert not shown[..., 1:].any()  # of one value
    single = MultiChannel(5, shown=[3]).picture(pixels)
    assert (single[..., 0] == shown[..., 0]).all()
    assert (single == single[..., :1]).all()
    assert MultiChannel(2).shown == (0, 1, 1)


def test_the_options_make_the_format() -> None:
    assert isinstance(image_format(), RGB)
    form = image_format(None, 4095)
    assert (form.channels, form.dtype, form.pixel_range) == (3, np.uint8, 4095)
    form = image_format(4, 4095, [3, 2, 1])
    assert (form.channels, form.dtype, form.pixel_range) == (4, np.float32, 4095)
    with pytest.raises(UserError, match=r"data.shown_channels=\[0, 4, 1\] must be one or three"):
        image_format(4, None, [0, 4, 1])


def test_rgb_says_which_option_reads_more(tmp_path: Path) -> None:
    write(tmp_path / "a.npy", VALUES)
    write(tmp_path / "a.tif", VALUES, **SAMPLES)
    for name in ("a.npy", "a.tif"):
        with pytest.raises(
            BadImageError, match=f"{name} cannot be read as an image.*data.channels"
        ):
            RGB().read(tmp_path / name)


def test_a_single_channel_needs_no_axis() -> None:
    for shape in ((4, 6), (1, 4, 6), (4, 6, 1)):
        assert channels_last(np.zeros(shape), 1, "a").shape == (4, 6, 1)
    with pytest.raises(BadImageError, match="list is no image"):
        FIVE.take([1])
