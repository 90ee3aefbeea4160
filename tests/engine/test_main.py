import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json

from hdetr_d2.checkpoint import read_checkpoint
from hdetr_d2.engine.main import main
from hdetr_d2.engine.results import read_run

CONFIG, DENSE = (str(Path(__file__).with_name(f"small_{name}recipe.py")) for name in ("", "dense_"))

Run = Callable[..., int]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("shapes"))


def arguments(shapes: str, output: Path, *more: str, config: str = CONFIG) -> list[str]:
    """Flags first, as the script wants them, then overrides."""
    given = ["--config-file", config, *(text for text in more if text.startswith("--"))]
    given += [f"data.generate.root={shapes}/data", f"train.output_dir={output}"]
    return given + [text for text in more if not text.startswith("--")]


@pytest.fixture
def train(shapes: str, tmp_path: Path) -> Run:
    """Run the script with the recipe; returns the exit status."""
    return lambda *more: main(arguments(shapes, tmp_path / "out", *more))


@pytest.fixture(scope="module")
def finished(shapes: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a training that ran from its first to its last iteration."""
    output = tmp_path_factory.mktemp("finished")
    assert main(arguments(shapes, output)) == 0
    return output


def half(finished: Path, output: Path) -> int:
    """Make `output` what a run that was killed after its first epoch leaves; returns iterations."""
    epoch = yaml.safe_load((finished / "config.yaml").read_text())["train"]["iterations_per_epoch"]
    name = f"model_{epoch:07d}.pth"
    output.mkdir()
    shutil.copy(finished / name, output / name)
    (output / "last_checkpoint").write_text(name)
    return epoch


def evaluations(run: Path) -> list[dict[str, float]]:
    """The lines of metrics.json with an evaluation."""
    rows = [json.loads(line) for line in (run / "metrics.json").read_text().splitlines()]
    return [row for row in rows if "bbox/AP" in row]


def error_of(capsys: pytest.CaptureFixture) -> str:
    """The one line that was written to stderr."""
    text = capsys.readouterr().err
    assert text.startswith("error: "), text
    assert text.count("\n") == 1, text
    return text


def same(one: Any, two: Any) -> bool:
    """Whether two nested states are equal to the last bit."""
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return torch.equal(one, two) if isinstance(one, torch.Tensor) else one == two


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_is_the_same_to_the_bit(
    finished: Path, train: Run, tmp_path: Path, workers: int
) -> None:
    epoch = half(finished, tmp_path / "out")
    assert train("--resume", f"dataloader.train.num_workers={workers}") == 0
    one, two = (read_checkpoint(path / "model_final.pth") for path in (finished, tmp_path / "out"))
    for part in ("model", "ema", "optimizer"):
        assert same(one[part], two[part]), part
    assert one["metadata"]["iteration"] == two["metadata"]["iteration"] == 2 * epoch
    log = (tmp_path / "out" / "log.txt").read_text()
    assert f"Resumed at iteration {epoch} from {tmp_path}/out/model_{epoch:07d}.pth" in log


def test_a_resumed_run_with_mosaics_and_blends_is_the_same_to_the_bit(
    finished: Path, shapes: str, tmp_path: Path
) -> None:
    def run(output: Path, *more: str) -> None:
        assert main(arguments(shapes, output, *more, config=DENSE)) == 0

    run(tmp_path / "straight")
    half(tmp_path / "straight", tmp_path / "halves")
    run(tmp_path / "halves", "--resume", "dataloader.train.num_workers=2")
    one, two, plain = (
        read_checkpoint(path / "model_final.pth")
        for path in (tmp_path / "straight", tmp_path / "halves", finished)
    )
    assert all(same(one[part], two[part]) for part in ("model", "ema", "optimizer"))
    assert not same(one["model"], plain["model"])


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_training_goes_on(shapes: str, train: Run, tmp_path: Path) -> None:
    often = ["train.checkpoint.period_epochs=0.25", "train.checkpoint.keep=2"]
    script = str(Path(__file__).resolve().parents[2] / "train_net.py")
    given = arguments(shapes, tmp_path / "out", "train.max_iter=100000", *often)
    process = subprocess.Popen([sys.executable, script, *given], stdout=subprocess.DEVNULL)
    last = tmp_path / "out" / "last_checkpoint"
    while process.poll() is None and not (last.exists() and last.read_text() > "model_0000003"):
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    done = int(last.read_text()[6:13])
    assert train("--resume", f"train.max_iter={done + 1}", *often) == 0
    log = (tmp_path / "out" / "log.txt").read_text()
    assert f"Resumed at iteration {done} from" in log
    assert f"another train.max_iter: 100000 -> {done + 1}" in log
    assert last.read_text() == "model_final.pth"


def test_a_run_leaves_everything_behind(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    files = {"config.yaml", "log.txt", "metrics.json", "model_best.pth", "model_final.pth"}
    assert files | {"last_checkpoint"} <= names
    assert list(finished.glob("events.out.tfevents.*"))
    metadata = read_checkpoint(finished / "model_final.pth")["metadata"]
    assert metadata["class_names"] == ["circle", "square", "triangle", "cross"]
    assert yaml.safe_load(metadata["config"])["data"]["num_classes"] == 4
    assert "optimizer" not in read_checkpoint(finished / "model_best.pth")
    log = (finished / "log.txt").read_text()
    assert "Fresh start from the model's initial weights" in log
    assert "Total batch 2 = 1 process(es) x 1 micro-batch(es) x 2 images" in log
    assert "base learning rate 0.0002" in log
    rows = [json.loads(line) for line in (finished / "metrics.json").read_text().splitlines()]
    last = {key for row in rows for key in row}
    assert {"total_loss", "lr", "bbox/AP", "time/match", "time/loss", "memory/peak_mb"} <= last


def test_nothing_to_resume_says_so_and_starts(train: Run, tmp_path: Path) -> None:
    assert train("--resume", "train.max_iter=1", "train.amp.enabled=true") == 0
    log = (tmp_path / "out" / "log.txt").read_text()
    assert f"Nothing to resume: {tmp_path}/out holds no last_checkpoint" in log
    assert "Fresh start" in log
    assert "train.max_iter=1 is set" in log


def test_an_override_that_leaves_its_counterpart_is_told_at_the_start(
    train: Run, tmp_path: Path
) -> None:
    assert train("train.max_iter=1", "dataloader.train.total_batch_size=1") == 0
    lines = (tmp_path / "out" / "log.txt").read_text().splitlines()
    assert "total_batch_size=1 where the config has 2, but optimizer.lr=0.0002 stays" in lines[0]


def test_a_longer_run_goes_on_and_a_finished_one_is_evaluated(
    finished: Path, train: Run, tmp_path: Path
) -> None:
    epoch = half(finished, tmp_path / "out")
    shutil.copy(finished / "model_final.pth", tmp_path / "out")
    (tmp_path / "out" / "last_checkpoint").write_text("model_final.pth")
    assert train("--resume") == 0
    told = f"All {2 * epoch} iterations are done; a larger train.epochs would continue"
    assert told in (tmp_path / "out" / "log.txt").read_text()
    assert train("--resume", f"train.max_iter={2 * epoch - 1}") == 0
    assert "a larger train.max_iter would continue" in (tmp_path / "out" / "log.txt").read_text()
    # The files are those of a run that was killed during its last evaluation.
    result = [(row["iteration"], row["bbox/AP"]) for row in evaluations(finished)][-1]
    assert [(row["iteration"], row["bbox/AP"]) for row in evaluations(tmp_path / "out")] == [result]
    assert (tmp_path / "out" / "model_best.pth").is_file()
    assert train("--resume") == 0
    assert len(evaluations(tmp_path / "out")) == 1
    assert train("--resume", f"train.max_iter={2 * epoch + 1}") == 0
    final = read_checkpoint(tmp_path / "out" / "model_final.pth")
    assert final["metadata"]["iteration"] == 2 * epoch + 1


def test_evaluation_alone(finished: Path, train: Run, tmp_path: Path, capsys: Any) -> None:
    assert train("--eval-only", f"train.init_checkpoint={finished}/model_best.pth") == 0
    assert "copypaste: AP,AP50" in (tmp_path / "out" / "log.txt").read_text()
    assert not (tmp_path / "out" / "config.yaml").exists()
    (evaluated, trained) = (read_run(folder) for folder in (tmp_path / "out", finished))
    assert evaluated.truth == trained.truth and evaluated.results
    assert evaluated.cfg.train.init_checkpoint and not trained.cfg.train.init_checkpoint
    assert train("--eval-only") == 2
    assert "--eval-only needs weights: set train.init_checkpoint" in error_of(capsys)


def test_a_new_data_set_starts_from_old_weights(
    finished: Path, train: Run, tmp_path: Path, shapes: str
) -> None:
    more = [f"data.generate.root={shapes}/two", "data.generate.num_classes=2"]
    names = ["data.train_name=two_train", "data.val_name=two_val"]
    weights = f"train.init_checkpoint={finished}/model_final.pth"
    assert train(weights, "train.max_iter=1", *more, *names) == 0
    log = (tmp_path / "out" / "log.txt").read_text()
    assert f"Fresh start from weights {finished}/model_final.pth" in log
    assert "has 4 rows in the file and 2 in the model: 2 are taken" in log  # circle and square
    assert "was trained on other classes: circle, square, triangle, cross" in log


def test_weights_of_classes_in_another_order_are_evaluated_as_they_are(
    finished: Path, train: Run, tmp_path: Path, shapes: str
) -> None:
    path = Path(shapes, "data", "annotations", "val.json")
    content = json.loads(path.read_text())
    content["categories"].reverse()
    last = max(each["id"] for each in content["categories"])
    for each in content["categories"]:
        each["id"] = last + 1 - each["id"]
    for each in content["annotations"]:
        each["category_id"] = last + 1 - each["category_id"]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    weights = f"train.init_checkpoint={finished}/model_best.pth"
    found = []
    for given in [[], [f"data.val_json={other}", "data.val_name=other", "data.class_names=[a,b]"]]:
        assert train("--eval-only", weights, *given) == 0
        results = tmp_path / "out" / "inference" / "coco_instances_results.json"
        found.append(json.loads(results.read_text()))
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "trained on other classes" not in log and "classes have another order" in log
    assert "data.class_names=[a, b] is replaced: the data set has [cross, triangle" in log
    assert found[0]
    for each in found[1]:
        each["category_id"] = last + 1 - each["category_id"]
    assert found[1] == found[0]


def test_weights_of_other_classes_are_evaluated_with_a_warning(
    finished: Path, train: Run, tmp_path: Path, shapes: str
) -> None:
    path = Path(shapes, "data", "annotations", "val.json")
    content = json.loads(path.read_text())
    content["categories"][0]["name"] = "disc"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    weights = f"train.init_checkpoint={finished}/model_best.pth"
    assert train("--eval-only", weights, f"data.val_json={other}", "data.val_name=other") == 0
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "model_best.pth was trained on other classes: circle, square" in log


def test_data_that_a_function_returns_are_evaluated(
    finished: Path, tmp_path: Path, shapes: str
) -> None:
    files = f"{shapes}/data/annotations/val.json", f"{shapes}/data/val"
    DatasetCatalog.register("returned", lambda: load_coco_json(*files, "returned"))
    classes = ["circle", "square", "triangle", "cross"]
    MetadataCatalog.get("returned").thing_classes = classes
    given = ["generate", "train_json", "train_images", "val_json", "val_images"]
    data = ["data.val_name=returned", *(f"data.{name}=null" for name in given)]
    main_arguments = ["--config-file", CONFIG, "--eval-only", f"train.output_dir={tmp_path}/out"]
    weights = f"train.init_checkpoint={finished}/model_best.pth"
    assert main([*main_arguments, weights, *data]) == 0
    log = (tmp_path / "out" / "log.txt").read_text()
    best = read_checkpoint(finished / "model_best.pth")["metadata"]["best_metric"]
    assert f"copypaste: {best:.4f}," in log


def test_a_fresh_start_leaves_nothing_of_the_earlier_run_to_resume(
    finished: Path, train: Run, tmp_path: Path
) -> None:
    half(finished, tmp_path / "out")
    shutil.copy(finished / "model_best.pth", tmp_path / "out")
    before = (tmp_path / "out" / "model_best.pth").read_bytes()
    # It ends before its first checkpoint.
    assert train("optimizer.lr=1e30", "train.max_bad_steps=1", "train.clip_grad_norm=null") == 2
    assert not (tmp_path / "out" / "last_checkpoint").exists()
    assert not (tmp_path / "out" / "model_best.pth").exists()
    assert (tmp_path / "out" / "model_best_earlier.pth").read_bytes() == before


def test_the_config_is_printed_as_it_can_be_loaded(train: Run, capsys: Any, tmp_path: Path) -> None:
    assert train("--print-config", "train.seed=7") == 0
    assert yaml.safe_load(capsys.readouterr().out)["train"]["seed"] == 7
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("train.epoch=3", "unknown option train.epoch: did you mean train.epochs?"),
        ("train.device=cuda", "CUDA is not available here"),
        ("train.init_checkpoint=none.pth", "checkpoint none.pth does not exist"),
        ("lr_multiplier.milestones=[5]", "5 does not lie between 0 and train.epochs=2"),
        ("+model.colour=red", "model: "),
        ("+optimizer.colour=red", "optimizer: "),
        ("optimizer.lr=-1", "optimizer: Invalid learning rate"),
        ("+dataloader.train.colour=red", "dataloader.train: "),
        ("+dataloader.test.colour=red", "dataloader.test: "),
        ("dataloader.evaluator.dataset_name=nowhere", "dataloader.evaluator: "),
        ("dataloader.test.batch_size=0", "dataloader.test: "),
        ("model._target_=no.such.Model", "model: "),
        ("data.train_json=[5]", "data.train_json=[5] must be text, or null"),
        ("train.accumulate=4", "must be a multiple of 4"),
        ("data.on_missing_mask=drop", "data.on_missing_mask=drop must be stop or skip"),
        ("data.skip_classes=[5]", "data.skip_classes=[5] must be a list of names of classes"),
        ("data.crowds_as_objects=maybe", "data.crowds_as_objects"),
        ("data.sizes_from_files=3", "data.sizes_from_files"),
        ("data.skip_classes=[cow]", "data.skip_classes: no data set has a class 'cow'; there are"),
        ("data.train_json=none.json data.train_name=unread", "none.json does not exist"),
        ("data.generate=null", "config option data.train_json: "),
        ("dataloader.train.mapper=${nowhere}", "dataloader.train.mapper: Interpolation key"),
        (
            "--scheme=query_recollection "
            "model.decoder._target_=hdetr_d2.modeling.SuppressingDecoder",
            "No group can start in layer 2",  # as only a step can tell
        ),
    ],
)
def test_a_wrong_option_is_one_sentence(
    train: Run, capsys: Any, monkeypatch: Any, option: str, reason: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert train(*option.split()) == 2
    assert reason in error_of(capsys)


def test_weights_of_another_model_are_one_sentence(finished: Path, train: Run, capsys: Any) -> None:
    weights = f"train.init_checkpoint={finished}/model_final.pth"
    assert train(weights, "model.neck.out_channels=32") == 2
    assert "(12, 64) in the file, (12, 32) in the model" in error_of(capsys)


def test_more_queries_than_the_weights_have(finished: Path, train: Run, tmp_path: Path) -> None:
    weights = f"train.init_checkpoint={finished}/model_final.pth"
    assert train(weights, "train.max_iter=1", "model.query_selection.num_queries=13") == 0
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "has 12 rows in the file and 13 in the model: 12 are taken, 1 keep their" in log


def test_another_config_at_resume_is_one_sentence(
    finished: Path, train: Run, tmp_path: Path, capsys: Any
) -> None:
    half(finished, tmp_path / "out")
    shutil.copy(finished / "config.yaml", tmp_path / "out")
    assert train("--resume", "optimizer.lr=1e-3") == 2
    saved = (tmp_path / "out" / "config.yaml").read_text()
    assert saved == (finished / "config.yaml").read_text()
    assert "--resume with another config than the run began with (optimizer.lr: 0.0002" in (
        error_of(capsys)
    )


def test_an_output_folder_that_is_a_file_is_one_sentence(
    train: Run, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "out").touch()
    assert train() == 2
    assert "cannot write to train.output_dir=" in error_of(capsys)


def test_steps_that_are_never_finite_end_in_one_sentence(
    train: Run, capsys: Any, tmp_path: Path
) -> None:
    assert train("optimizer.lr=1e30", "train.max_bad_steps=2", "train.clip_grad_norm=null") == 2
    assert "2 steps in a row were not finite" in error_of(capsys)
    assert "Traceback" not in (tmp_path / "out" / "log.txt").read_text()


def test_no_gpus_are_the_cpu(capsys: pytest.CaptureFixture) -> None:
    options = ["--config-file", CONFIG, "--num-gpus", "0", "--print-config"]
    assert main([*options, "train.device=auto"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["train"]["device"] == "cpu"
    assert main([*options, "train.device=cuda"]) == 2
    error = "error: --num-gpus 0 is the CPU, and train.device=cuda: which?\n"
    assert error_of(capsys) == error
