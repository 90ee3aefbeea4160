"""Pictures of every kind are read as ids of segments, or refused with a sentence."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hdetr_d2.data.segment_ids import read_segment_ids
from hdetr_d2.pixels.images import BadImageError

SMALL = np.array([[0, 1, 1, 2], [3, 3, 1, 2]])
LARGE = np.array([[0, 300, 300, 70_000], [5, 5, 300, 70_000]])
PALETTE = [0, 0, 0, 200, 10, 10, 10, 200, 10, 10, 10, 200]


def listed(ids: np.ndarray) -> list[dict]:
    return [{"id": id_} for id_ in np.unique(ids).tolist() if id_]


def colours(ids: np.ndarray) -> np.ndarray:
    return np.stack([ids % 256, ids // 256 % 256, ids // 256**2], axis=-1).astype(np.uint8)


def palette(indices: np.ndarray, values: list[int]) -> Image.Image:
    picture = Image.fromarray(indices.astype(np.uint8)).convert("L")
    picture.putpalette(values)
    return picture


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("ids", [SMALL, LARGE], ids=["small", "large"])
def test_colours(ids: np.ndarray, mode: str, tmp_path: Path) -> None:
    Image.fromarray(colours(ids)).convert(mode).save(tmp_path / "a.png")
    found = read_segment_ids(tmp_path / "a.png", listed(ids), (2, 4))
    assert found.pixels.tolist() == ids.tolist()
    assert found.pixels.dtype == np.int64
    assert (found.unlisted, found.absent) == ([], [])


@pytest.mark.parametrize(
    ("dtype", "ending"),
    [("uint8", "png"), ("uint16", "png"), ("uint8", "tif"), ("uint16", "tif"), ("int32", "tif")],
)
def test_values(dtype: str, ending: str, tmp_path: Path) -> None:
    ids = SMALL if dtype == "uint8" else np.where(SMALL == 1, 300, SMALL)
    Image.fromarray(ids.astype(dtype)).save(tmp_path / f"a.{ending}")
    assert read_segment_ids(tmp_path / f"a.{ending}", listed(ids)).pixels.tolist() == ids.tolist()


def test_grey_with_alpha_and_single_bits(tmp_path: Path) -> None:
    Image.fromarray(SMALL.astype(np.uint8)).convert("LA").save(tmp_path / "a.png")
    assert read_segment_ids(tmp_path / "a.png", listed(SMALL)).pixels.tolist() == SMALL.tolist()
    Image.fromarray(SMALL > 1).save(tmp_path / "b.png")
    found = read_segment_ids(tmp_path / "b.png", [{"id": 1}]).pixels
    assert found.tolist() == (SMALL > 1).astype(int).tolist()


def test_indices_of_a_palette(tmp_path: Path) -> None:
    palette(SMALL, PALETTE).save(tmp_path / "a.png")
    assert read_segment_ids(tmp_path / "a.png", listed(SMALL)).pixels.tolist() == SMALL.tolist()


def test_colours_that_were_saved_with_a_palette(tmp_path: Path) -> None:
    """As programs do that make files smaller: the ids of LARGE, under other indices."""
    ids = np.array([0, 300, 70_000, 5])
    indices = np.searchsorted(np.sort(ids), LARGE)
    palette(indices, colours(np.sort(ids)).ravel().tolist()).save(tmp_path / "a.png")
    assert read_segment_ids(tmp_path / "a.png", listed(LARGE)).pixels.tolist() == LARGE.tolist()


def test_what_is_on_one_side_only(tmp_path: Path) -> None:
    Image.fromarray(SMALL.astype(np.uint8)).save(tmp_path / "a.png")
    found = read_segment_ids(tmp_path / "a.png", [{"id": 1}, {"id": 9}])
    assert found.pixels.tolist() == [[0, 1, 1, 0], [0, 0, 1, 0]]
    assert (found.unlisted, found.absent) == ([2, 3], [9])


def test_an_image_without_segments(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((2, 4), np.uint8)).save(tmp_path / "a.png")
    assert not read_segment_ids(tmp_path / "a.png", []).pixels.any()
    with pytest.raises(BadImageError, match=r"a\.png has no segment, and none of its .*: 1, 2, 3$"):
        read_segment_ids(tmp_path / "a.png", listed(SMALL))


@pytest.mark.parametrize(
    ("name", "pixels", "sentence"),
    [
        ("a.png", colours(SMALL)[..., ::-1], "has red and blue swapped"),
        ("a.jpg", colours(SMALL), "is a JPEG, which changes the ids"),
        ("a.png", colours(SMALL + 10), "has the ids 10, 11, 12, ..., and none of its .*: 1, 2, 3"),
        ("a.png", colours(SMALL)[::2, ::2], "is 2 x 1 pixels, but its data set says 4 x 2"),
        ("a.tif", SMALL.astype(np.float32), "has pixels of the kind F, which cannot be ids"),
    ],
)
def test_what_cannot_be(name: str, pixels: np.ndarray, sentence: str, tmp_path: Path) -> None:
    Image.fromarray(np.ascontiguousarray(pixels)).save(tmp_path / name)
    with pytest.raises(BadImageError, match=f"{name} {sentence}"):
        read_segment_ids(tmp_path / name, listed(SMALL), (2, 4))


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(BadImageError, match=r"a\.png does not exist"):
        read_segment_ids(tmp_path / "a.png", [])
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(BadImageError, match=r"a\.png cannot be read as segments"):
        read_segment_ids(tmp_path / "a.png", [])
