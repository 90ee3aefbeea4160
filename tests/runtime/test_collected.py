import csv
import json
import logging
from pathlib import Path

import numpy as np
import pandas
import pycocotools.mask as mask_utils
import pytest
import supervision
from PIL import Image
from pycocotools.coco import COCO

from hdetr_d2.data.formats import read_folder
from hdetr_d2.errors import UserError
from hdetr_d2.runtime import Results, Shapes
from hdetr_d2.runtime.writers import WRITERS, open_writer

NAMES = ("cat", "guide dog")
BOXES = np.array([[10.5, 20, 30, 60], [0, 0, 5, 5]], np.float32)
TWO = Shapes(BOXES, np.array([1, 0]), np.array([0.75, 0.5], np.float32))
NONE = TWO.chosen(np.zeros(2, bool))
CORNERS = ["x_min", "y_min", "x_max", "y_max"]


def frame(number: int, **more: object) -> dict:
    return {"id": number, "file_name": f"{number}.jpg", "width": 100, "height": 80, **more}


def collected(*shapes: Shapes, **more: object) -> Results:
    results = Results(NAMES)
    for number, each in enumerate(shapes, start=1):
        results.add(frame(number, **more), each)
    return results


def with_masks() -> Shapes:
    masks = np.zeros((2, 80, 100), bool)
    masks[0, 20:60, 11:30] = True
    return Shapes(TWO.boxes, TWO.classes, TWO.scores, masks)


def test_an_image_without_objects_has_its_place() -> None:
    results = collected(NONE, TWO)
    assert [result["image_id"] for result in results] == [2, 2]
    assert [(image["id"], len(found)) for image, found in results.by_image()] == [(1, 0), (2, 2)]
    assert results == [*results]  # a list as before


def test_supervision_has_pixels_scores_classes_and_their_names() -> None:
    empty, found = collected(NONE, TWO).to_supervision()
    assert isinstance(found, supervision.Detections)
    assert found.xyxy.tolist() == [[10.5, 20, 30, 60], [0, 0, 5, 5]]
    assert found.confidence.tolist() == [0.75, 0.5]
    assert found.class_id.tolist() == [1, 0]
    assert found.data["class_name"].tolist() == ["guide dog", "cat"]
    assert found.tracker_id is None
    assert found.mask is None
    assert (len(empty), empty.xyxy.shape, empty.data["class_name"].tolist()) == (0, (0, 4), [])
    assert len(supervision.Detections.merge([empty, found])) == 2


def test_supervision_has_masks_and_tracks() -> None:
    shapes = with_masks()
    tracked = Shapes(shapes.boxes, shapes.classes, shapes.scores, shapes.masks, np.array([4, -1]))
    (found,) = collected(tracked).to_supervision()
    assert found.mask.dtype == bool
    assert np.array_equal(found.mask, shapes.masks)
    assert found.tracker_id.tolist() == [5, -1]


def test_zones_and_annotators_of_supervision_take_them() -> None:
    empty, found = collected(NONE, with_masks()).to_supervision()
    zone = supervision.PolygonZone(np.array([[0, 50], [99, 50], [99, 70], [0, 70]]))
    assert zone.trigger(found).tolist() == [True, False]
    assert zone.trigger(empty).tolist() == []
    black = np.zeros((80, 100, 3), np.uint8)
    for kind in (supervision.BoxAnnotator, supervision.MaskAnnotator, supervision.LabelAnnotator):
        assert kind().annotate(black.copy(), found).any()
        assert not kind().annotate(black.copy(), empty).any()


def test_a_table_of_pandas() -> None:
    table = collected(NONE, TWO).to_pandas()
    assert list(table.columns) == [
        *("image_id", "file_name", "category_id", "category_name", "score"),
        *CORNERS,
    ]
    assert table["file_name"].tolist() == ["2.jpg", "2.jpg"]
    assert table["category_name"].tolist() == ["guide dog", "cat"]
    assert table[CORNERS].to_numpy().tolist() == [[10.5, 20, 30, 60], [0, 0, 5, 5]]


def test_a_table_of_frames_has_their_times_and_tracks() -> None:
    tracked = Shapes(TWO.boxes, TWO.classes, TWO.scores, tracks=np.array([0, -1]))
    table = collected(tracked, time=0.5).to_pandas()
    assert table["time"].tolist() == [0.5, 0.5]
    assert table["track_id"].tolist() == [1, pandas.NA]


def test_a_table_of_nothing_has_the_same_columns_and_types() -> None:
    full, empty = collected(TWO).to_pandas(), collected(NONE).to_pandas()
    assert len(empty) == 0
    numbers = ["image_id", "category_id", "score", *CORNERS]
    assert empty[numbers].dtypes.tolist() == full[numbers].dtypes.tolist()
    assert list(Results(NAMES).to_pandas().columns) == list(full.columns)


def test_masks_stand_in_the_table_as_run_lengths() -> None:
    table = collected(with_masks(), TWO).to_pandas()
    assert table["segmentation"][0]["size"] == [80, 100]
    assert table["segmentation"].notna().tolist() == [True, True, False, False]


def test_a_library_that_is_missing_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(package: str) -> None:
        raise ImportError(name=package)

    monkeypatch.setattr("hdetr_d2.runtime.needed.import_module", without)
    with pytest.raises(UserError, match=r"to_supervision\(\) needs .* pip install supervision"):
        collected(TWO).to_supervision()
    with pytest.raises(UserError, match=r"to_pandas\(\) needs pandas: pip install pandas"):
        collected(TWO).to_pandas()


def test_pictures_in_memory_have_no_name() -> None:
    results = Results(NAMES)
    results.add(frame(1) | {"file_name": None}, TWO)
    assert results.to_pandas()["file_name"].isna().all()
    assert len(results.to_supervision()[0]) == 2


TRACKED = Shapes(TWO.boxes, TWO.classes, TWO.scores, tracks=np.array([0, -1]))


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.reader(file)]


def test_csv_is_read_again(tmp_path: Path) -> None:
    path = collected(NONE, TWO).save(tmp_path / "a.csv")
    head, first, second = rows(path)
    assert dict(zip(head, first, strict=True)) == {
        **{"image_id": "2", "file_name": "2.jpg", "category_id": "2"},
        **{"category_name": "guide dog", "score": "0.75"},
        **{"x_min": "10.5", "y_min": "20.0", "x_max": "30.0", "y_max": "60.0"},
    }
    assert second[-4:] == ["0.0", "0.0", "5.0", "5.0"]
    pandas.testing.assert_frame_equal(pandas.read_csv(path), collected(NONE, TWO).to_pandas())


def test_csv_of_frames_has_their_times_and_tracks(tmp_path: Path) -> None:
    head, first, second = rows(collected(TRACKED, time=0.5).save(tmp_path / "a.csv"))
    assert head[-2:] == ["time", "track_id"]
    assert (first[-2:], second[-2:]) == (["0.5", "1"], ["0.5", ""])


def test_what_csv_leaves_out_is_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    collected(with_masks()).save(tmp_path / "a.csv")
    assert "a.csv: the format csv leaves out 2 masks" in caplog.text


def test_json_lines_hold_everything_a_line_an_image(tmp_path: Path) -> None:
    tracked = Shapes(*(getattr(with_masks(), n) for n in ("boxes", "classes", "scores", "masks")))
    results = collected(NONE, tracked, time=0.25)
    lines = results.save(tmp_path / "a.jsonl").read_text().splitlines()
    empty, found = map(json.loads, lines)
    assert empty == {
        **{"id": 1, "file_name": "1.jpg", "width": 100, "height": 80, "time": 0.25},
        "detections": [],
    }
    again = [{"image_id": 2, "file_name": "2.jpg", **each} for each in found["detections"]]
    assert again == [*results]


def test_coco_is_read_by_pycocotools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco = COCO(str(collected(NONE, with_masks()).save(tmp_path / "a.json")))
    assert coco.getAnnIds(imgIds=[1]) == []
    first, second = coco.loadAnns(coco.getAnnIds(imgIds=[2]))
    assert (first["bbox"], first["category_id"], first["score"]) == ([10.5, 20, 19.5, 40], 2, 0.75)
    assert np.array_equal(mask_utils.decode(first["segmentation"]), with_masks().masks[0])
    assert second["area"] == 0


def test_yolo_is_read_again_as_a_data_set(tmp_path: Path) -> None:
    results = Results(NAMES)
    for number, (name, shapes) in enumerate({"a.png": NONE, "deep/b.png": TWO}.items(), start=1):
        path = tmp_path / "images" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.new("RGB", (100, 80)).save(path)
        entry = {"id": number, "file_name": str(path), "width": 100, "height": 80}
        results.add(entry, shapes)
    results.save(tmp_path, "yolo")
    assert (tmp_path / "labels/a.txt").read_text() == ""
    lines = (tmp_path / "labels/deep/b.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["1", "0"]
    numbers = [float(word) for word in lines[0].split()[1:]]
    assert numbers == pytest.approx([0.2025, 0.5, 0.195, 0.5], abs=1e-12)
    content = read_folder(tmp_path).parts["train"].content
    assert [category["name"] for category in content["categories"]] == [*NAMES]
    boxes = [annotation["bbox"] for annotation in content["annotations"]]
    assert np.allclose(boxes, [[10.5, 20, 19.5, 40], [0, 0, 5, 5]])


def test_yolo_has_masks_as_polygons(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    masks = np.zeros((3, 80, 100), bool)
    masks[0, 20:60, 10:30] = True
    masks[1, 10:20, 50:60] = masks[1, 40:50, 80:90] = True
    masks[1, 12:15, 52:57] = False
    boxes = np.array([[10, 20, 30, 60], [50, 10, 90, 50], [0, 40, 120, 60]], np.float32)
    shapes = Shapes(boxes, np.array([1, 0, 0]), np.array([0.9, 0.8, 0.7], np.float32), masks)
    path = tmp_path / "images" / "1.jpg"
    path.parent.mkdir()
    Image.new("RGB", (100, 80)).save(path)
    results = Results(NAMES)
    results.add(frame(1, file_name=str(path)), shapes)
    results.save(tmp_path, "yolo")
    assert caplog.text.endswith("the format yolo leaves out 3 scores\n")
    first, _, empty = (tmp_path / "labels/1.txt").read_text().splitlines()
    corners = np.array(first.split()[1:], float).reshape(4, 2).tolist()
    assert sorted(corners) == [[0.1, 0.25], [0.1, 0.75], [0.3, 0.25], [0.3, 0.75]]
    assert (first.split()[0], empty) == ("1", "0 0.0 0.5 1.0 0.5 1.0 0.75 0.0 0.75")
    found = read_folder(tmp_path).parts["train"].content["annotations"]
    for annotation, mask in zip(found[:2], masks[:2], strict=True):
        (rle,) = mask_utils.frPyObjects(annotation["segmentation"], 80, 100)
        assert np.array_equal(mask_utils.decode(rle), mask)


def test_yolo_ends_at_the_edges_of_an_image(tmp_path: Path) -> None:
    outside = Shapes(np.array([[-10, 40, 50, 100.0]]), np.array([0]), np.array([0.5]))
    collected(outside).save(tmp_path, "yolo")
    (line,) = (tmp_path / "labels/1.txt").read_text().splitlines()
    assert line == "0 0.25 0.75 0.5 0.5"


def test_images_of_one_name_keep_their_labels_apart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results = Results(NAMES)
    names = ["x/a.jpg", "x/a.png", None, None]
    for number, name in enumerate(names, start=1):
        results.add({"id": number, "file_name": name, "width": 100, "height": 80}, TWO)
    results.save(tmp_path / "out", "yolo")
    found = {path.name for path in (tmp_path / "out/labels").rglob("*.txt")}
    assert found == {"a.txt", "a.png.txt", "image_3.txt", "image_4.txt"}
    assert "a.png: its labels are in" in caplog.text


def test_frames_of_a_video_have_their_numbers(tmp_path: Path) -> None:
    results = Results(NAMES)
    for number in (1, 2):
        entry = {"id": number, "file_name": "clip.mp4", "width": 100, "height": 80, "time": 0.1}
        results.add(entry, TRACKED)
    results.save(tmp_path, "yolo")
    assert {path.name for path in (tmp_path / "labels").iterdir()} == {"clip_1.txt", "clip_2.txt"}


@pytest.mark.parametrize("format", WRITERS)
def test_nothing_is_an_empty_file_that_can_be_read(format: str, tmp_path: Path) -> None:
    for results in (Results(NAMES), collected(NONE)):
        place = tmp_path / str(len(results.images)) / f"a{WRITERS[format].ending}"
        results.save(place, format)
        assert place.exists()
    if format == "csv":
        assert len(rows(place)) == 1
    if format == "coco":
        assert json.loads(place.read_text())["annotations"] == []


def test_an_ending_or_a_name_tells_the_format(tmp_path: Path) -> None:
    for wrong in ("a.xyz", "folder"):
        with pytest.raises(UserError, match=r"tells no format by its ending: there are coco, csv"):
            collected(TWO).save(tmp_path / wrong)
    with pytest.raises(UserError, match="no format 'voc': there are coco, csv, jsonl, yolo"):
        collected(TWO).save(tmp_path / "a", "voc")
    collected(TWO).save(tmp_path / "new" / "A.CSV")
    assert len(rows(tmp_path / "new" / "A.CSV")) == 3


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for format in WRITERS:
        with pytest.raises(UserError, match="cannot write to .*file"):
            collected(TWO).save(tmp_path / "file" / "below", format)


def test_what_was_written_before_an_error_is_there(tmp_path: Path) -> None:
    results = collected(TWO)
    with pytest.raises(ZeroDivisionError):  # noqa: SIM117
        with open_writer(tmp_path / "a.json", NAMES) as writer:
            writer.write(results.images[0], [*results])
            raise ZeroDivisionError
    assert len(json.loads((tmp_path / "a.json").read_text())["annotations"]) == 2
