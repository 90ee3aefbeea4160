"""What datumaro reads; most tests need it, which is an extra."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pycocotools.mask as mask_utils
import pytest

from hdetr_d2.data.formats import Found, by_datumaro, read_folder
from hdetr_d2.errors import UserError

Pictures = Callable[..., None]


def shape(kind: str, label: int | None = 0, group: int = 0, **more: object) -> SimpleNamespace:
    """As datumaro has one."""
    base = {"type": SimpleNamespace(name=kind), "label": label, "group": group, "attributes": {}}
    return SimpleNamespace(**base | more)


def box(*edges: float, **more: object) -> SimpleNamespace:
    return shape("bbox", get_bbox=lambda: edges, **more)


def test_a_group_is_one_object() -> None:
    polygon = shape("polygon", group=3, points=[1, 2, 9, 2, 9, 8])
    item = SimpleNamespace(
        media=SimpleNamespace(size=(30, 40), path="a.jpg"),
        id="a",
        subset="train",
        annotations=[box(1, 2, 8, 6, group=3), polygon, box(5, 5, 2, 2, label=1), shape("points")],
    )
    left_out = by_datumaro.Counter()
    picture = by_datumaro._picture(item, ["cat", "dog"], left_out, Path("x"))
    assert (picture.size, picture.file) == ((40, 30), Path("a.jpg"))
    first, second = picture.objects
    assert (first.label, first.box) == ("cat", (1, 2, 9, 8))
    assert first.segmentation == [[1, 2, 9, 2, 9, 8]]
    assert (second.label, second.box, second.segmentation) == ("dog", (5, 5, 7, 7), None)
    assert left_out == {"points": 1}


def test_masks_of_a_group_are_one() -> None:
    mask = np.zeros((30, 40), bool)
    mask[2:4, 5:9] = True
    parts = [
        shape("mask", group=1, image=image, get_bbox=lambda: (5, 2, 4, 2))
        for image in (mask, mask[::-1])
    ]
    found = by_datumaro._labelled(parts, ["cat"], "x")
    assert mask_utils.decode(found.segmentation).sum() == 16


def test_an_object_without_a_class_is_named() -> None:
    with pytest.raises(UserError, match="item a has an object without a class"):
        by_datumaro._labelled([box(1, 1, 2, 2, label=None)], ["cat"], "item a")


def test_without_it_the_sentence_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_datumaro, "is_installed", lambda: False)
    with pytest.raises(UserError, match=r"pip install 'hdetr_d2\[datumaro\]' reads more"):
        read_folder(tmp_path)
    monkeypatch.setattr(by_datumaro, "is_installed", lambda: True)
    monkeypatch.setattr(by_datumaro, "formats_of", lambda folder: ["vott", "kitti"])
    with pytest.raises(UserError, match="takes .* for several formats: vott, kitti"):
        read_folder(tmp_path)


def test_a_turned_box_is_a_mask_in_the_box_around_it() -> None:
    annotation = pytest.importorskip("datumaro.components.annotation")
    found = by_datumaro._labelled([annotation.RotatedBbox(10, 10, 6, 4, 90, label=0)], ["x"], "")
    assert found.box == pytest.approx((8, 7, 12, 13))
    assert sorted(found.segmentation[0]) == pytest.approx([7, 7, 8, 8, 12, 12, 13, 13])


def written(folder: Path, form: str) -> Found:
    """A data set that datumaro writes in one of its formats, read again."""
    pytest.importorskip("datumaro")
    from datumaro.components.annotation import Bbox, Ellipse
    from datumaro.components.dataset import Dataset
    from datumaro.components.dataset_base import DatasetItem
    from datumaro.components.media import Image

    image = Image.from_numpy(np.full((30, 40, 3), 9, np.uint8))
    shapes = [Bbox(10, 5, 10, 20, label=1)]
    if form == "datumaro":
        shapes.append(Ellipse(10, 10, 20, 30, label=0))
    items = [
        DatasetItem(id="a", subset="train", media=image, annotations=shapes),
        DatasetItem(id="b", subset="val", media=image),
    ]
    data = Dataset.from_iterable(items, categories=["cat", "dog"])
    data.export(str(folder), form, save_media=True)
    return read_folder(folder)


@pytest.mark.parametrize("form", ["datumaro", "wider_face", "label_me"])
def test_formats_of_datumaro(form: str, tmp_path: Path) -> None:
    found = written(tmp_path / "data", form)
    assert found.format == form
    assert [*found.parts] == ["train", "val"]
    content = found.parts["train"].content
    names = found.parts["train"].class_names
    assert names[content["annotations"][0]["category_id"] - 1] == "dog"
    boxes = [a["bbox"] for a in content["annotations"]]
    assert boxes[0] == [10, 5, 10, 20]
    assert boxes[1:] == ([[10, 10, 10, 20]] if form == "datumaro" else [])
    assert found.parts["val"].content["annotations"] == []
    assert found.parts["val"].files[0].is_file()
