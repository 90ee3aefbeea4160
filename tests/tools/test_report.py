"""`hdetr-d2 report` and `hdetr-d2 compare`: runs become a page, and mistakes one sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from hdetr_d2.commands import compare, report

MakeRun = Callable[..., Path]
Console = pytest.CaptureFixture[str]


def content(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8").split('type="application/json" id="content">')[1]
    return json.loads(text.split("</script>")[0])


def test_a_page_of_a_run(make_run: MakeRun, capsys: Console) -> None:
    run = make_run("one")
    (run / "metrics.json").write_text('{"iteration": 1, "total_loss": 3.5}\n')
    assert report.main([str(run), "--images", "3", "--side", "32"]) == 0
    shown = content(run / "report.html")
    assert shown["title"] == "Report: one" and shown["total"] == 4
    assert len(shown["images"]) == 3 and shown["images"][0]["size"] == [64, 64]
    assert shown["runs"][0]["curves"] == {"total_loss": [[1, 3.5]]}
    assert (run / "report.html").read_text().count('id="picture-') == 3
    assert "report.html" in capsys.readouterr().out


def test_two_runs_side_by_side(make_run: MakeRun, capsys: Console) -> None:
    options = ["optimizer.lr=0.5", "data.image_counts=[1,2,3,4]"]
    one, two = make_run("a/run"), make_run("b/run", *options, every=1)
    assert compare.main([str(one), str(two)]) == 0
    shown = content(two / "compare.html")
    assert [run["name"] for run in shown["runs"]] == ["a/run", "b/run"]
    assert [len(image["found"]) for image in shown["images"]] == [2] * 4
    printed = capsys.readouterr().out
    options = printed.split("Options, A -> B:\n")[1].split("\n\n")[0]
    assert options == "optimizer.lr: 0.0002 -> 0.5"
    assert "100.0" in printed.split("all ")[1]


def test_a_mistake_is_one_sentence(
    make_run: MakeRun, shapes: Path, tmp_path: Path, capsys: Console
) -> None:
    run = make_run("run")

    def complaint(command: Any, *given: object) -> str:
        with pytest.raises(SystemExit):
            command.main([*map(str, given)])
        return capsys.readouterr().err.splitlines()[-1]

    assert "--side at least 16" in complaint(report, run, "--side", 3)
    assert "it has no config.yaml" in complaint(compare, run, tmp_path)
    next((shapes / "val").iterdir()).write_bytes(b"no image")
    assert "error: " in complaint(report, run)
    assert not (run / "report.html").exists() and not list(run.glob("*.tmp"))


@pytest.fixture
def elsewhere(shapes: Path, tmp_path: Path) -> Path:
    """The same data in another folder, the objects in another order."""
    other = tmp_path / "elsewhere"
    shutil.copytree(shapes, other)
    path = other / "annotations/val.json"
    truth = json.loads(path.read_text())
    truth["annotations"].reverse()
    path.write_text(json.dumps({**truth, "info": {"description": "a copy"}}))
    return other


def test_data_are_the_same_by_what_they_hold(
    make_run: MakeRun, elsewhere: Path, capsys: Console
) -> None:
    one, two = make_run("one", every=1), make_run("two", every=1, data=elsewhere)
    names = [*DatasetCatalog], [*MetadataCatalog]
    assert compare.main([str(one), str(two)]) == 0
    assert names == ([*DatasetCatalog], [*MetadataCatalog])
    table = capsys.readouterr().out.split("all ")[1].splitlines()[0].split()
    assert table[1:4] == ["100.0", "100.0", "+0.0"]
    for image in content(two / "compare.html")["images"]:
        one_found, two_found = ({each[7] for each in found} for found in image["found"])
        assert one_found == two_found == set(range(len(image["objects"])))


def test_other_data_are_told(make_run: MakeRun, elsewhere: Path, capsys: Console) -> None:
    path = elsewhere / "annotations/val.json"
    truth = json.loads(path.read_text())
    truth["annotations"][0]["bbox"][0] += 1
    path.write_text(json.dumps(truth))
    one, two = make_run("one"), make_run("two", data=elsewhere)
    with pytest.raises(SystemExit):
        compare.main([str(one), str(two)])
    complaint = f"error: {one} and {two} were evaluated on different objects"
    assert capsys.readouterr().err.splitlines()[-1] == complaint


def test_what_cannot_be_said_has_no_sign(make_run: MakeRun, shapes: Path, capsys: Console) -> None:
    path = shapes / "annotations/val.json"
    truth = json.loads(path.read_text())
    none = truth["categories"][-1]
    truth["annotations"] = [a for a in truth["annotations"] if a["category_id"] != none["id"]]
    path.write_text(json.dumps(truth))
    one, two = make_run("one"), make_run("two", every=1)
    assert compare.main([str(one), str(two)]) == 0
    header, _, *rows = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert header.split("  ")[-1].strip() == "B - A"
    row = next(row.split() for row in rows if row.startswith(none["name"]))
    assert row == [none["name"], "0", *["nan"] * 12]
