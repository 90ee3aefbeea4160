"""tools/check_data.py: one line a problem, the numbers, and the exit status."""

import importlib.util
import json
from pathlib import Path

import pytest

from hdetr_d2.data.check import check_data
from hdetr_d2.data.shapes import generate_shapes

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "check_data.py"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    generate_shapes(root=tmp_path / "shapes", num_train=4, num_val=1, image_size=48, seed=3)
    return tmp_path / "shapes"


def run(root: Path, *options: str) -> int:
    spec = importlib.util.spec_from_file_location("check_data_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script.main([str(root / "annotations/train.json"), str(root / "train"), *options])


def edit(root: Path, **lists: list[dict]) -> dict:
    """The json after appending to its lists."""
    path = root / "annotations" / "train.json"
    content = json.loads(path.read_text())
    for key, more in lists.items():
        content[key] += more
    path.write_text(json.dumps(content))
    return content


def test_a_sound_data_set(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root) == 0
    output = capsys.readouterr().out
    assert "error:" not in output
    for word in ("images without objects", "circle", "square", "small / medium / large"):
        assert word in output


def test_every_problem_is_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
    edit(
        root,
        annotations=[
            {**whole, "id": 900, "bbox": [1, 1, -5, 5]},
            {**whole, "id": 901, "category_id": 77},
            {**whole, "id": 902, "image_id": 78},
            {**whole, "id": 903, "bbox": [1, 1, 0, 5]},
        ],
        images=[
            {"id": 79, "file_name": "gone.png", "width": 48, "height": 48},
            {"id": 80, "file_name": "000000.png", "width": 50, "height": 48},
        ],
    )
    assert run(root) == 1
    lines = capsys.readouterr().out.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 5
    for text in ("annotation 900", "category_id 77", "no such image", "gone.png", "48 x 48 pixels"):
        assert sum(text in line for line in errors) == 1, text
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert sum("annotation 903" in line for line in warnings) == 1
    assert sum("image 79 has no object" in line for line in warnings) == 1


def test_more_objects_than_queries_or_detections(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = edit(root)
    most = max(
        sum(a["image_id"] == image["id"] for a in content["annotations"])
        for image in content["images"]
    )
    assert most > 1
    assert run(root, "--num-queries", str(most), "--top-k", str(most - 1)) == 0
    output = capsys.readouterr().out
    assert f"has {most} objects, but there are only {most - 1} detections kept" in output
    assert f"only {most} queries" not in output


def test_what_only_evaluation_needs_is_a_warning(root: Path) -> None:
    content = edit(root)
    for annotation in content["annotations"]:
        del annotation["area"], annotation["iscrowd"]
    (root / "annotations" / "train.json").write_text(json.dumps(content))
    report = check_data(str(root / "annotations/train.json"), str(root / "train"))
    assert report.num_errors == 0
    assert [p.kind for p in report.problems if "without" in p.kind and "annot" in p.kind] == [
        "annotations without area",
        "annotations without iscrowd",
    ]


def test_an_unreadable_json_is_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "annotations" / "train.json").write_text("{")
    assert run(root) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_json_without_images(root: Path, capsys: pytest.CaptureFixture) -> None:
    empty = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
    (root / "annotations" / "train.json").write_text(json.dumps(empty))
    assert run(root) == 1
    assert "train.json has no images" in capsys.readouterr().out


def test_words_where_numbers_belong(root: Path, capsys: pytest.CaptureFixture) -> None:
    path = root / "annotations" / "train.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["area"] = "big"
    content["images"][0]["file_name"] = 5
    path.write_text(json.dumps(content))
    assert run(root) == 1
    printed = capsys.readouterr().out
    assert "1 annotations have no 'area'" in printed
    assert "has no 'file_name' but 5" in printed


def validation(root: Path, **lists: list[dict] | None) -> tuple[str, ...]:
    """The option for the validation data, after lists of their json were replaced or (None) left
    out.
    """
    path = root / "annotations" / "val.json"
    content = json.loads(path.read_text())
    content.update(lists)
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return "--val", str(path), str(root / "val")


def test_validation_data_are_checked_against_those_of_the_training(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, *validation(root)) == 0
    assert capsys.readouterr().out.count("Data set") == 2
    categories = [{"id": i, "name": name} for i, name in enumerate(("disc", "square"), start=1)]
    assert run(root, *validation(root, annotations=[], categories=categories)) == 1
    (error,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error")]
    assert "must have the same categories: only in the first ['circle', 'cross'," in error


def test_validation_data_may_have_no_annotations(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, *validation(root, annotations=None)) == 0
    assert "val.json has no annotations: predictions are written" in capsys.readouterr().out
