"""Large images tile by tile."""

from collections.abc import Sequence

import numpy as np
import pytest

from hdetr_d2.errors import UserError
from hdetr_d2.pixels import EIGHT_BITS
from hdetr_d2.runtime.joining import Join, PlacedMasks, Tile
from hdetr_d2.runtime.shapes import Shapes
from hdetr_d2.runtime.tiles import TiledDetector, tiles_of

LEAST = 3


class OfColours:
    """Sees every colour but black that has `LEAST` pixels in both directions as an object of class
    0; `sizes` are those of the images it was given.
    """

    class_names = ("a",)
    image_format = EIGHT_BITS

    def __init__(self, with_masks: bool = False) -> None:
        self.with_masks = with_masks
        self.batches: list[int] = []
        self.sizes: list[tuple[int, int]] = []

    def read(self, entry: dict) -> dict:
        return entry

    def find(self, batch: Sequence[dict]) -> list[Shapes]:
        self.batches.append(len(batch))
        return [self.objects(item["image"]) for item in batch]

    def objects(self, image: np.ndarray) -> Shapes:
        self.sizes.append(image.shape[:2])
        boxes, masks = [], []
        for colour in np.unique(image[..., 0])[1:]:
            mask = image[..., 0] == colour
            rows, columns = np.nonzero(mask)
            if np.ptp(rows) >= LEAST - 1 and np.ptp(columns) >= LEAST - 1:
                boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
                masks.append(mask)
        found = np.array(boxes, np.float32).reshape(-1, 4)
        kept = np.stack(masks) if self.with_masks and masks else None
        return Shapes(found, np.zeros(len(found), int), np.full(len(found), 0.9, np.float32), kept)


class Brightest(OfColours):
    """Of a single colour, whose edges the reduced image has made darker."""

    def objects(self, image: np.ndarray) -> Shapes:
        return super().objects(np.where(image > 127, 255, 0))


class WithoutTheWhole(OfColours):
    """The first image that it is given has colours that are mixed of several."""

    def objects(self, image: np.ndarray) -> Shapes:
        return super().objects(image if self.sizes else 0 * image)


def drawn(size: tuple[int, int], boxes: Sequence[Sequence[int]]) -> np.ndarray:
    image = np.zeros((*size, 3), np.uint8)
    for colour, (left, top, right, bottom) in enumerate(boxes, start=1):
        image[top:bottom, left:right] = colour
    return image


def found_in(image: np.ndarray, detector: OfColours, **options: object) -> Shapes:
    tiled = TiledDetector(detector, **{"side": 100, "overlap": 0.3, **options})
    (shapes,) = tiled.find([tiled.read({"file_name": "x", "image": image})])
    return shapes


def boxes_of(shapes: Shapes) -> list[list[int]]:
    return sorted(shapes.boxes.round().astype(int).tolist())


@pytest.mark.parametrize(
    ("length", "starts"),
    [
        (99, [0]),
        (100, [0]),
        (101, [0, 1]),
        (180, [0, 80]),
        (181, [0, 40, 81]),
        (340, [0, 80, 160, 240]),
    ],
)
def test_tiles_are_spread_and_overlap_enough(length: int, starts: list[int]) -> None:
    tiles = tiles_of(50, length, 100, 0.2)
    assert [tile.left for tile in tiles] == starts
    assert all(tile.top == 0 and tile.bottom == 50 for tile in tiles)
    assert max(tile.right for tile in tiles) == length


def test_tiles_go_row_by_row() -> None:
    assert tiles_of(150, 120, 100, 0.0) == [
        Tile(0, 0, 100, 100), Tile(0, 20, 100, 120), Tile(50, 0, 150, 100), Tile(50, 20, 150, 120)
    ]  # fmt: skip


def test_small_objects_are_found_where_one_look_at_the_whole_misses_them() -> None:
    rng = np.random.default_rng(0)
    places = [(x, y) for x in range(10, 950, 60) for y in range(10, 550, 60)]
    boxes = []
    for x, y in places:
        width, height = rng.integers(4, 28, 2)
        boxes.append([x, y, x + int(width), y + int(height)])
    image = drawn((600, 1000), boxes[:200])
    alone = OfColours().objects(image[::10, ::10])
    assert len(alone) <= 20
    assert boxes_of(found_in(image, WithoutTheWhole())) == sorted(boxes[:200])


def test_an_object_larger_than_a_tile_is_found_in_the_whole_and_once() -> None:
    large = [120, 60, 420, 380]
    image = np.where(drawn((500, 500), [large]), 255, 0).astype(np.uint8)
    (found,) = boxes_of(found_in(image, Brightest()))
    assert found == pytest.approx(large, abs=5)  # a pixel of the reduced image


def test_parts_that_nothing_has_in_full_are_one_box() -> None:
    join = Join()
    left, right = Tile(0, 0, 100, 100), Tile(0, 70, 100, 170)
    of_left = Shapes(np.array([[40.0, 10, 100, 50]]), np.array([0]), np.array([0.8]))
    of_right = Shapes(np.array([[0.0, 10, 50, 50]]), np.array([0]), np.array([0.6]))
    found = join([(left, of_left), (right, of_right)], (100, 170))
    assert found.boxes.tolist() == [[40, 10, 120, 50]]
    assert found.scores.tolist() == [0.8]
    other = Shapes(of_right.boxes, np.array([1]), of_right.scores)
    assert len(join([(left, of_left), (right, other)], (100, 170))) == 2  # of another class


def test_detections_of_one_tile_leave_each_other_alone() -> None:
    boxes = np.array([[10.0, 10, 50, 50], [12.0, 10, 50, 50]])
    shapes = Shapes(boxes, np.array([0, 0]), np.array([0.5, 0.7]))
    empty = Shapes(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    tiles = tiles_of(100, 150, 100, 0.2)
    found = Join()([*zip(tiles, [shapes, empty], strict=True)], (100, 150))
    assert found.scores.tolist() == [0.7, 0.5]


def test_a_poor_box_around_it_does_not_take_a_part_of_a_good_one() -> None:
    """The cut one has twice the score of the whole one, and more."""
    of_tile = Shapes(np.array([[40.0, 10, 100, 50]]), np.array([0]), np.array([0.9]))
    of_whole = Shapes(np.array([[0.0, 0, 170, 100]]), np.array([0]), np.array([0.1]))
    parts = [(Tile(0, 0, 100, 170), of_whole), (Tile(0, 0, 100, 100), of_tile)]
    found = Join()(parts, (100, 170))
    assert found.scores.tolist() == pytest.approx([0.9, 0.1])


def test_masks_lie_where_the_tile_does() -> None:
    boxes = [[5, 5, 25, 20], [130, 90, 150, 120]]
    image = drawn((140, 180), boxes)

    found = found_in(image, WithoutTheWhole(with_masks=True))
    assert isinstance(found.masks, PlacedMasks)
    assert len(found.masks) == 2
    for box, mask in zip(found.boxes.astype(int).tolist(), found.masks, strict=True):
        assert np.array_equal(mask, image[..., 0] == 1 + boxes.index(box))
    assert len(found.above(0.95).masks) == 0


def test_a_mask_of_the_reduced_image_is_enlarged() -> None:
    image = np.where(drawn((400, 200), [[40, 80, 160, 360]]), 255, 0).astype(np.uint8)
    (mask,) = found_in(image, Brightest(with_masks=True)).masks
    assert mask.shape == (400, 200)
    assert (mask != (image[..., 0] > 0)).mean() < 0.02


def test_the_memory_of_a_pass_does_not_grow_with_the_image() -> None:
    detector = OfColours()
    found_in(drawn((900, 1200), [[5, 5, 25, 20]]), detector, batch_size=4)
    assert max(detector.batches) == 4
    assert detector.batches[0] == 1
    assert detector.sizes[0] == (75, 100)  # the whole, reduced
    assert set(detector.sizes[1:]) == {(100, 100)}


def test_an_image_that_fits_into_a_tile_is_looked_at_once() -> None:
    detector = OfColours()
    assert boxes_of(found_in(drawn((80, 100), [[5, 5, 25, 20]]), detector)) == [[5, 5, 25, 20]]
    assert detector.sizes == [(80, 100)]


def test_no_objects() -> None:
    found = found_in(drawn((300, 300), []), OfColours())
    assert (found.boxes.shape, len(found.classes), len(found.scores)) == ((0, 4), 0, 0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"side": 31}, "tile=31 must have at least 32 pixels"),
        ({"side": 100.5}, "tile=100.5 must be a whole number"),
        ({"overlap": "0.2"}, "overlap='0.2' must be a number from 0 to 0.9"),
        ({"overlap": 1.0}, "overlap=1 must be from 0 to 0.9, of a tile"),
        ({"overlap": float("nan")}, "overlap=nan"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
    ],
)
def test_tiles_that_cannot_be(options: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        TiledDetector(OfColours(), **{"side": 100, **options})
