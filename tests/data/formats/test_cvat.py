"""CVAT's xml: shapes of images, and tracks of a video."""

from collections.abc import Callable
from pathlib import Path

import pycocotools.mask as mask_utils
import pytest

from hdetr_d2.data.formats import Found, read_folder
from hdetr_d2.errors import UserError

Pictures = Callable[..., None]
LABELS = "".join(f"<label><name>{name}</name></label>" for name in ("dog", "cat", "guide dog"))


def write(folder: Path, content: str) -> None:
    meta = f"<meta><task><labels>{LABELS}</labels></task></meta>"
    text = (
        f'<?xml version="1.0"?>\n<annotations><version>1.1</version>{meta}{content}</annotations>'
    )
    (folder / "annotations.xml").write_text(text, encoding="utf-8")


def make(folder: Path, pictures: Pictures, *shapes: str) -> Found:
    """One image of 40 x 30, read."""
    pictures(folder / "images" / "a b.jpg")
    write(folder, f'<image id="0" name="a b.jpg" width="40" height="30">{"".join(shapes)}</image>')
    return read_folder(folder)


def annotations(found: Found, split: str = "train") -> list[dict]:
    return found.parts[split].content["annotations"]


def box(label: str, *edges: float, more: str = "") -> str:
    names = ("xtl", "ytl", "xbr", "ybr")
    given = " ".join(f'{name}="{edge}"' for name, edge in zip(names, edges, strict=True))
    return f'<box label="{label}" {given} {more}/>'


def test_boxes_count_from_0_and_labels_have_their_order(tmp_path: Path, pictures: Pictures) -> None:
    found = make(tmp_path, pictures, box("cat", 0, 1.5, 40, 30), box("guide dog", 1, 2, 3, 4))
    assert [a["bbox"] for a in annotations(found)] == [[0, 1.5, 40, 28.5], [1, 2, 2, 2]]
    assert [a["category_id"] for a in annotations(found)] == [2, 3]
    assert found.parts["train"].class_names == ["dog", "cat", "guide dog"]
    assert found.parts["train"].content["images"][0]["file_name"] == "images/a b.jpg"


def test_a_turned_box_is_a_mask_in_the_box_around_it(tmp_path: Path, pictures: Pictures) -> None:
    # 10 x 4 about (15, 12), a quarter turned: 4 x 10.
    shape = box("cat", 10, 10, 20, 14, more='rotation="90"')
    (found,) = annotations(make(tmp_path, pictures, shape))
    assert found["bbox"] == pytest.approx([13, 7, 4, 10])
    assert found["segmentation"] == [pytest.approx([17, 7, 17, 17, 13, 17, 13, 7])]
    # A small angle turns clockwise: the upper right corner goes down.
    (found,) = annotations(make(tmp_path, pictures, shape.replace('"90"', '"10"')))
    assert found["segmentation"][0][3] > found["segmentation"][0][1]


def test_polygons_ellipses_and_masks(tmp_path: Path, pictures: Pictures) -> None:
    polygon = '<polygon label="cat" points="1.0,2.0;11.0,2.0;11.0,22.0"/>'
    ellipse = '<ellipse label="cat" cx="20" cy="15" rx="10" ry="5" rotation="90"/>'
    mask = '<mask label="cat" rle="1, 2, 1, 2" left="3" top="5" width="3" height="2"/>'
    shapes = annotations(make(tmp_path, pictures, polygon, ellipse, mask))
    assert shapes[0]["bbox"] == [1, 2, 10, 20]
    assert shapes[0]["area"] == 100
    assert shapes[1]["bbox"] == pytest.approx([15, 5, 10, 20])
    assert shapes[1]["area"] == pytest.approx(157.08, rel=1e-3)
    assert shapes[2]["bbox"] == [3, 5, 3, 2]
    pixels = mask_utils.decode(shapes[2]["segmentation"])
    assert pixels.shape == (30, 40)
    assert pixels[5:7, 3:6].tolist() == [[0, 1, 1], [0, 1, 1]]
    assert pixels.sum() == 4


def test_what_is_no_object_is_counted(tmp_path: Path, pictures: Pictures) -> None:
    line, tag = '<polyline label="cat" points="1,2;3,4"/>', '<tag label="dog"/>'
    found = make(tmp_path, pictures, line, tag, line)
    assert (annotations(found), found.notes) == ([], ["2 of polyline are left out"])


def test_subsets_are_splits(tmp_path: Path, pictures: Pictures) -> None:
    sides = 'width="40" height="30"'
    for subset in ("Train", "Validation"):
        pictures(tmp_path / "images" / subset / "a.jpg")
    write(
        tmp_path,
        f'<image id="0" name="a.jpg" subset="Train" {sides}>{box("cat", 1, 2, 3, 4)}</image>'
        f'<image id="1" name="a.jpg" subset="Validation" {sides}></image>',
    )
    found = read_folder(tmp_path)
    names = {s: p.content["images"][0]["file_name"] for s, p in found.parts.items()}
    assert names == {"train": "images/Train/a.jpg", "val": "images/Validation/a.jpg"}


def test_tasks_have_their_own_images_of_a_name(tmp_path: Path, pictures: Pictures) -> None:
    for task in ("task1", "task2"):
        pictures(tmp_path / task / "images" / "001.jpg")
        write(tmp_path / task, '<image id="0" name="001.jpg" width="40" height="30"></image>')
    images = read_folder(tmp_path).parts["train"].content["images"]
    assert [i["file_name"] for i in images] == [f"task{n}/images/001.jpg" for n in (1, 2)]
    (tmp_path / "task2" / "images" / "001.jpg").unlink()
    both = r"task1/annotations\.xml: image 0 .* and .*task2/annotations\.xml: image 0 .* both label"
    with pytest.raises(UserError, match=both):
        read_folder(tmp_path)


def test_images_lie_in_the_folder_of_that_name(tmp_path: Path, pictures: Pictures) -> None:
    pictures(tmp_path / "images" / "sub" / "a b.jpg", tmp_path / "blurred" / "a b.jpg")
    found = make(tmp_path, pictures)
    assert found.parts["train"].content["images"][0]["file_name"] == "images/a b.jpg"
    (tmp_path / "images" / "a b.jpg").unlink()
    (tmp_path / "images" / "sub" / "a b.jpg").rename(tmp_path / "a b.jpg")
    with pytest.raises(UserError, match=r"/a b\.jpg and .*blurred/a b\.jpg could both be"):
        read_folder(tmp_path)


def track(number: int, label: str, *frames: tuple[int, int]) -> str:
    """A box that moves, and is outside where the second number is 1."""
    boxes = [
        box(label, frame, 1, frame + 5, 9, more=f'frame="{frame}" outside="{outside}"')
        for frame, outside in frames
    ]
    return f'<track id="{number}" label="{label}">{"".join(boxes)}</track>'


def test_tracks_are_objects_of_their_frames(tmp_path: Path, pictures: Pictures) -> None:
    pictures(*(tmp_path / "images" / f"frame_{frame:06d}.PNG" for frame in (0, 1, 2, 10)))
    write(tmp_path, track(0, "cat", (0, 0), (1, 0), (2, 1)) + track(1, "dog", (1, 0), (10, 0)))
    found = read_folder(tmp_path)
    images = {i["id"]: i["file_name"] for i in found.parts["train"].content["images"]}
    assert [*images.values()] == [f"images/frame_{n:06d}.PNG" for n in (0, 1, 2, 10)]
    seen = [(images[a["image_id"]][-6:-4], a["category_id"], a["bbox"]) for a in annotations(found)]
    assert seen == [
        ("00", 2, [0, 1, 5, 8]),
        ("01", 2, [1, 1, 5, 8]),
        ("01", 1, [1, 1, 5, 8]),
        ("10", 1, [10, 1, 5, 8]),
    ]


def test_two_images_of_a_frame(tmp_path: Path, pictures: Pictures) -> None:
    pictures(tmp_path / "images" / "frame_000000.png", tmp_path / "small" / "frame_000000.png")
    write(tmp_path, track(0, "cat", (0, 0)))
    with pytest.raises(UserError, match="images/.* and .*small/.* could both be frame 0"):
        read_folder(tmp_path)


@pytest.mark.parametrize(("there", "fault"), [
    ([], "is of a video: export it with its images"),
    ([0], "track 0, frame 7: there is no image of that frame"),
])  # fmt: skip
def test_frames_that_are_not_there(
    there: list[int], fault: str, tmp_path: Path, pictures: Pictures
) -> None:
    pictures(*(tmp_path / "images" / f"frame_{frame:06d}.png" for frame in there))
    write(tmp_path, track(0, "cat", (0, 0), (7, 0)))
    with pytest.raises(UserError, match=fault):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("shape", "fault"),
    [
        ('<box label="cat" xtl="1"/>', r"image 0 \(a b\.jpg\): box 1: ytl is None"),
        ('<polygon label="cat" points="1,2;3,4"/>', "polygon 1 has fewer than three points"),
        ('<polygon label="cat" points="1,2;3,x"/>', "polygon 1: points is 'x'"),
        (
            '<mask label="cat" rle="1,2" left="0" top="0" width="2" height="2"/>',
            "mask 1: rle is of 3 pixels, not of 2 x 2",
        ),
    ],
)
def test_bad_shapes_are_named(shape: str, fault: str, tmp_path: Path, pictures: Pictures) -> None:
    with pytest.raises(UserError, match=fault):
        make(tmp_path, pictures, shape)
