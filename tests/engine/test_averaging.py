"""The mean of checkpoints, with numbers by hand."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hdetr_d2.checkpoint import read_checkpoint
from hdetr_d2.commands.average import main
from hdetr_d2.engine.averaging import average_checkpoints, last_checkpoints
from hdetr_d2.errors import UserError

CONFIG = "model: {heads: 8}\ntrain: {seed: %d}\n"


def save(path: Path, weights: dict[str, Tensor], *, ema: bool = False, **metadata: object) -> Path:
    """A checkpoint; its weights are the moving average, or the only ones."""
    told = {"config": CONFIG % len(path.name), "class_names": ["cat"], **metadata}
    content: dict = {"model": weights, "metadata": told}
    if ema:
        content["model"] = {name: torch.full_like(value, 99) for name, value in weights.items()}
        content["ema"] = {f"module.{name}": value for name, value in weights.items()}
    torch.save(content, path)
    return path


def weights(value: float, count: int = 0) -> dict[str, Tensor]:
    return {"w": torch.tensor([[value, -value]], dtype=torch.float32), "steps": torch.tensor(count)}


def mean_of(folder: Path, *paths: Path) -> dict:
    return read_checkpoint(average_checkpoints(paths, folder / "mean.pth"))


@pytest.mark.parametrize("ema", [False, True])
def test_floats_are_averaged_and_counters_are_the_last(tmp_path: Path, ema: bool) -> None:
    values = [(1.0, 10), (2.0, 30), (6.0, 20)]
    paths = [
        save(tmp_path / f"{n}.pth", weights(*each), ema=ema, iteration=n, run="a", best_metric=5.0)
        for n, each in enumerate(values)
    ]
    content = mean_of(tmp_path, *paths)
    assert content.keys() == {"model", "metadata"}
    assert content["model"]["w"].tolist() == [[3.0, -3.0]]
    assert content["model"]["steps"].item() == 20
    assert content["metadata"] == {
        "config": CONFIG % 5,
        "class_names": ["cat"],
        "averaged": ["0.pth", "1.pth", "2.pth"],
    }


def test_sums_are_taken_in_double_precision(tmp_path: Path) -> None:
    values = [2.0**24, 1.0, 1.0]  # in float32 the ones would be lost; (2^24 + 2) / 3
    paths = [save(tmp_path / f"{n}.pth", weights(value)) for n, value in enumerate(values)]
    assert mean_of(tmp_path, *paths)["model"]["w"].tolist() == [[5592406.0, -5592406.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_the_mean_of_the_same_is_the_same(tmp_path: Path, dtype: torch.dtype) -> None:
    same = {"w": torch.randn(100).to(dtype), "on": torch.tensor([True, False])}
    paths = [save(tmp_path / f"{n}.pth", same) for n in range(3)]
    found = mean_of(tmp_path, *paths)["model"]
    assert found["w"].dtype == dtype
    assert torch.equal(found["w"], same["w"]) and torch.equal(found["on"], same["on"])


def test_files_without_metadata_have_a_mean(tmp_path: Path) -> None:
    for n in (1, 3):
        torch.save({"w": torch.tensor([float(n)])}, tmp_path / f"{n}.pth")
    content = mean_of(tmp_path, tmp_path / "1.pth", tmp_path / "3.pth")
    assert content["model"]["w"].tolist() == [2.0]
    assert content["metadata"] == {"averaged": ["1.pth", "3.pth"]}


@pytest.mark.parametrize(
    ("other", "metadata", "sentence"),
    [
        (
            {"v": torch.ones(1, 2)},
            {},
            r"v: \(1, 2\) float32 -> \(none\); w: \(none\) -> \(1, 2\) float32",
        ),
        ({"w": torch.ones(2, 1)}, {}, r"w: \(2, 1\) float32 -> \(1, 2\) float32"),
        ({"w": torch.ones(1, 2).long()}, {}, r"w: \(1, 2\) int64 -> \(1, 2\) float32"),
        ({"w": torch.full((1, 2), torch.nan)}, {}, r"0\.pth contains weights that are not finite"),
        ({"w": torch.ones(1, 2)}, {"class_names": ["dog"]}, r"class_names: \['dog'\] -> \['cat'\]"),
        ({"w": torch.ones(1, 2)}, {"config": "model: {heads: 4}"}, r"model\.heads: 4 -> 8"),
    ],
)
def test_another_model_is_refused(
    other: dict, metadata: dict, sentence: str, tmp_path: Path
) -> None:
    one = save(tmp_path / "0.pth", other, **metadata)
    last = save(tmp_path / "1.pth", {"w": torch.ones(1, 2)})
    with pytest.raises(UserError, match=sentence):
        average_checkpoints([one, last], tmp_path / "mean.pth")
    assert not (tmp_path / "mean.pth").exists()


def test_nothing_is_overwritten_and_one_has_no_mean(tmp_path: Path) -> None:
    one = save(tmp_path / "0.pth", weights(1))
    with pytest.raises(UserError, match=r"--output .*0\.pth is there already"):
        average_checkpoints([one, one], one)
    with pytest.raises(UserError, match="at least two checkpoints, not 1"):
        average_checkpoints([one], tmp_path / "mean.pth")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run with four checkpoints of its own and two of an earlier one."""
    for number, value in ((10, 1.0), (20, 2.0), (30, 3.0)):
        save(tmp_path / f"model_{number:07d}.pth", weights(value), iteration=number, run="a")
    save(tmp_path / "model_0000015.pth", weights(50), iteration=15, run="b")
    save(tmp_path / "model_0000090.pth", weights(50), iteration=90, run="b")
    save(tmp_path / "model_best.pth", weights(50), iteration=20, run="a")
    save(tmp_path / "model_final.pth", weights(7), iteration=40, run="a")
    (tmp_path / "last_checkpoint").write_text("model_final.pth")
    return tmp_path


def test_the_last_ones_of_a_run(run: Path) -> None:
    names = [f"model_{number:07d}.pth" for number in (10, 20, 30)]
    assert [path.name for path in last_checkpoints(run, 4)] == [*names, "model_final.pth"]
    assert [path.name for path in last_checkpoints(run, 2)] == [names[-1], "model_final.pth"]
    with pytest.raises(UserError, match=r"holds 4 checkpoints of its run, and not 5"):
        last_checkpoints(run, 5)
    (run / "last_checkpoint").write_text(names[1])  # the run goes on
    assert [path.name for path in last_checkpoints(run, 2)] == names[:2]


def test_the_command(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = run / "mean.pth"
    assert main([str(run), "--last", "3", "--output", str(output)]) == 0
    assert read_checkpoint(output)["model"]["w"].tolist() == [[4.0, -4.0]]
    assert capsys.readouterr().out.endswith(f"model_final.pth: {output}\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{run}", "--last", "1"], "N is at least 2"),
        (["{run}", "{run}", "--last", "2"], "takes the folder of one run"),
        (["{run}/inner", "--last", "2"], "is not the folder of a run"),
        (["{run}/gone.pth", "{run}/model_final.pth"], "gone.pth does not exist"),
    ],
)
def test_what_is_wrong_is_one_line(
    run: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(run=run) for word in arguments]
    with pytest.raises(SystemExit, match="2"):
        main([*words, "--output", str(run / "mean.pth")])
    assert sentence in capsys.readouterr().err.splitlines()[-1]
    assert not (run / "mean.pth").exists()
