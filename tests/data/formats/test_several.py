"""Folders with the data of several formats."""

from contextlib import suppress
from pathlib import Path

import pytest

from hdetr_d2.data.formats import read_folder, table
from hdetr_d2.errors import UserError

FILES = {
    "COCO": ("a.json", '{"images": [], "annotations": [], "categories": []}'),
    "YOLO": ("data.yaml", "names: [cat]\ntrain: images\n"),
    "Pascal VOC": ("a.xml", "<annotation></annotation>"),
    "CVAT": ("annotations.xml", "<annotations></annotations>"),
    "Label Studio": ("tasks.json", '[{"annotations": [{"result": []}]}]'),
    "LabelMe": ("b.json", '{"shapes": [], "imagePath": "b.jpg"}'),
}


@pytest.mark.parametrize("second", [*FILES][1:])
def test_two_formats_are_one_sentence(second: str, tmp_path: Path) -> None:
    for name in ("COCO", second):
        file, text = FILES[name]
        (tmp_path / file).write_text(text)
    both = rf"several formats, COCO \(a\.json\) and {second} \({FILES[second][0]}\): leave only one"
    with pytest.raises(UserError, match=both):
        read_folder(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_a_table_beside_another_format_is_not_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, text = FILES[name]
    (tmp_path / file).write_text(text)
    (tmp_path / "boxes.csv").write_text("image,class,xmin,ymin,xmax,ymax\na.jpg,cat,0,0,1,1\n")
    monkeypatch.setattr(table, "read", lambda *given: pytest.fail("the table was read"))
    with suppress(UserError):  # there are no images
        read_folder(tmp_path)


def test_json_and_xml_of_other_things_are_none(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"images": 3}')
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "page.xml").write_text("<html><annotation/></html>")
    (tmp_path / "settings.yaml").write_text("train: true\n")
    with pytest.raises(UserError, match="no data in a format that is known here"):
        read_folder(tmp_path)


@pytest.mark.parametrize("name", ["COCO", "CVAT"])
def test_data_without_images_are_an_error(name: str, tmp_path: Path) -> None:
    file, text = FILES[name]
    (tmp_path / file).write_text(text)
    with pytest.raises(UserError, match="without images"):
        read_folder(tmp_path)
