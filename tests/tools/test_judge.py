"""`hdetr-d2 judge`: a run, or two json files, become a table and a json."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hdetr_d2.commands.judge import main


@pytest.fixture
def run(make_run: Callable[..., Path]) -> Path:
    return make_run("run")


def test_a_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run)]) == 0
    content = json.loads((run / "judgement.json").read_text())
    half = 100 * content["detections"] / content["all"]["objects"]
    assert (content["all"]["precision"], content["all"]["recall"]) == (100, half)
    assert content["all"]["score from"] == 0.75 and content["max_dets"] == 100
    assert sum(row["objects"] for row in content["classes"]) == content["all"]["objects"]
    printed = capsys.readouterr().out
    assert "circle" in printed and "true \\ found" in printed
    assert "From a score of 0.75 on, objects of a class (row) are found as:" in printed
    assert "Expected calibration error: 25.0%" in printed


def test_what_was_evaluated_last_is_judged(make_run: Callable[..., Path]) -> None:
    run, other = make_run("run"), make_run("other", "dataloader.evaluator.max_dets_per_image=7")
    shutil.copy(other / "config.yaml", run / "inference")
    assert main([str(run)]) == 0
    assert json.loads((run / "judgement.json").read_text())["max_dets"] == 7


def test_another_ap_than_the_training_saw_is_told(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "metrics.json").write_text('{"iteration": 3, "bbox/AP": 99.5}\n')
    assert main([str(run)]) == 0
    assert "and was 99.50 at the last evaluation of the training" in capsys.readouterr().out


def test_two_files_are_judged_alike(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run)]) == 0
    given = ["--json", str(run.parent / "shapes/annotations/val.json")]
    given += ["--results", str(run / "inference/coco_instances_results.json")]
    assert main(given) == 0
    beside = run / "inference/judgement.json"
    assert beside.read_text() == (run / "judgement.json").read_text()
    assert f"Numbers: {beside}" in capsys.readouterr().out
    chosen = run.parent / "alone.json"
    assert main([*given, "--output", str(chosen)]) == 0
    assert chosen.read_text() == beside.read_text()


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ([], "give a RUN, or both --json and --results"),
        (["{run}", "--json", "x.json"], "give a RUN, or both"),
        (["{run}/inference"], "is not the output folder of a training: it has no config.yaml"),
        (["{run}", "--iou", "0"], "--iou 0.0 must lie in (0, 1]"),
        (["{run}", "--max-dets", "0"], "--max-dets 0 must be at least 1"),
        (["{run}", "--task", "segm"], "results.json: result 0 has no 'segmentation'"),
        (["--json", "{run}/config.yaml", "--results", "x"], "is not valid JSON"),
    ],
)
def test_a_mistake_is_one_sentence(
    run: Path, capsys: pytest.CaptureFixture[str], given: list[str], complaint: str
) -> None:
    with pytest.raises(SystemExit):
        main([each.format(run=run) for each in given])
    assert complaint in capsys.readouterr().err.splitlines()[-1]
    assert not (run / "judgement.json").exists()


def test_a_run_without_an_evaluation(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = run / "inference/coco_instances_results.json"
    results.unlink()
    with pytest.raises(SystemExit):
        main([str(run)])
    complaint = f"{run} has no detections of an evaluation: {results} is not a file"
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"image_id": 77}, {"score": "0.5"}, {"bbox": None}])
def test_a_bad_result_is_told_with_its_file_and_place(
    run: Path, capsys: pytest.CaptureFixture[str], change: dict
) -> None:
    path = run / "inference/coco_instances_results.json"
    results = json.loads(path.read_text())
    path.write_text(json.dumps([results[0], results[1] | change]))
    truth = run.parent / "shapes/annotations/val.json"
    for given in ([str(run)], ["--json", str(truth), "--results", str(path)]):
        with pytest.raises(SystemExit):
            main(given)
        complaint = capsys.readouterr().err.splitlines()[-1]
        assert complaint.startswith(f"error: {path}: result 1 has {next(iter(change))}")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"bbox": ["1", 2, 3, 4]}, "annotation 1 of image 1 has bbox ['1', 2, 3, 4]: not four"),
        ({"image_id": 99}, "annotation 1 of image 99: no such image in the json"),
        ({"category_id": 99}, "annotation 1 of image 1 has category_id 99, which is not in"),
    ],
)
def test_a_bad_object_is_a_sentence(
    run: Path, capsys: pytest.CaptureFixture[str], change: dict, complaint: str
) -> None:
    path = run.parent / "shapes/annotations/val.json"
    truth = json.loads(path.read_text())
    truth["annotations"][0] |= change
    path.write_text(json.dumps(truth))
    results = run / "inference/coco_instances_results.json"
    with pytest.raises(SystemExit):
        main(["--json", str(path), "--results", str(results)])
    assert complaint in capsys.readouterr().err
