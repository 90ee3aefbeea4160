import math
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.engine import HookBase, TrainerBase, hooks
from detectron2.utils import comm
from detectron2.utils.events import JSONWriter
from torch import nn

from hdetr_d2.checkpoint import Checkpointer, read_checkpoint
from hdetr_d2.engine.hooks import (
    CheckpointHook,
    EvaluationHook,
    ForgetHook,
    LearningRateHook,
)
from hdetr_d2.engine.schedule import StepDecay
from hdetr_d2.visualization import read_metrics


class Loop(TrainerBase):
    """Iterations without a step."""

    def run_step(self) -> None: ...


def run(*parts: HookBase, start: int = 0, end: int = 10) -> Loop:
    loop = Loop()
    loop.register_hooks(list(parts))
    loop.train(start, end)
    return loop


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_group_follows_its_own_base_rate() -> None:
    groups = [{"params": [nn.Parameter(torch.ones(1))], "lr": lr} for lr in (2.0, 0.2)]
    optimizer = torch.optim.SGD(groups, lr=2.0)
    hook = LearningRateHook(optimizer, StepDecay(epochs=10, milestones=[8]))
    loop = run(hook)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.2, 0.02])
    shown = [value for value, _ in loop.storage.history("lr").values()]
    assert shown == pytest.approx([2.0] * 8 + [0.2] * 2)


def test_the_last_checkpoints_are_kept_and_the_end_has_its_own(tmp_path: Path) -> None:
    checkpointer = Checkpointer(nn.Linear(1, 1), str(tmp_path))
    run(CheckpointHook(checkpointer, period=2, keep=2))
    names = ["last_checkpoint", "model_0000006.pth", "model_0000008.pth", "model_final.pth"]
    assert files(tmp_path) == names
    assert (tmp_path / "last_checkpoint").read_text() == "model_final.pth"
    assert read_checkpoint(tmp_path / "model_final.pth")["metadata"] == {"iteration": 10}


def test_a_resumed_run_deletes_its_own_old_ones_only(tmp_path: Path) -> None:
    for name in ("model_0000002.pth", "model_0000004.pth", "model_0000090.pth", "model_x.pth"):
        (tmp_path / name).touch()
    checkpointer = Checkpointer(nn.Linear(1, 1), str(tmp_path))
    run(CheckpointHook(checkpointer, period=2, keep=1), start=4, end=7)
    assert files(tmp_path) == [
        "last_checkpoint",
        "model_0000006.pth",
        "model_0000090.pth",
        "model_final.pth",
        "model_x.pth",
    ]


def test_other_processes_save_and_delete_nothing(tmp_path: Path) -> None:
    (tmp_path / "model_0000002.pth").touch()
    checkpointer = Checkpointer(nn.Linear(1, 1), str(tmp_path), save_to_disk=False)
    run(CheckpointHook(checkpointer, period=1, keep=1))
    assert files(tmp_path) == ["model_0000002.pth"]


def evaluation(folder: Path, scores: list[float], **options: Any) -> EvaluationHook:
    """A hook whose evaluations give `scores`, one after the other; its model counts them."""
    model = nn.Linear(1, 1)
    nn.init.zeros_(model.weight)
    remaining = iter(scores)

    def evaluate() -> dict[str, dict[str, float]]:
        with torch.no_grad():
            model.weight += 1
        return {"bbox": {"AP": next(remaining)}}

    arguments = {
        "period": 2,
        "checkpointer": Checkpointer(model, str(folder)),
        "weights": model.state_dict,
        "best_metric": "bbox/AP",
    }
    return EvaluationHook(evaluate, **(arguments | options))


def test_the_best_weights_are_kept_with_their_metric(tmp_path: Path) -> None:
    loop = run(evaluation(tmp_path, [math.nan, 3.0, 5.0, 4.0, 5.0]))
    assert files(tmp_path) == ["last_evaluation", "model_best.pth"]
    best = read_checkpoint(tmp_path / "model_best.pth")
    assert best["metadata"] == {"best_metric": 5.0, "iteration": 6}
    assert best["model"]["weight"].item() == 3.0
    assert loop.storage.latest()["bbox/AP"] == (5.0, 9)


def test_all_processes_are_asked_for_the_best_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comm, "all_gather", lambda mine: [True, mine])  # the first has results
    asked: list[str] = []

    def weights() -> dict[str, torch.Tensor]:
        asked.append("part")
        return {}

    checkpointer = Checkpointer(nn.Linear(1, 1), str(tmp_path), save_to_disk=False)
    given: dict[str, Any] = {"checkpointer": checkpointer, "best_metric": "bbox/AP"}
    run(EvaluationHook(dict, period=5, weights=weights, **given))
    assert asked == ["part", "part"]
    assert files(tmp_path) == []


def test_a_resumed_run_knows_the_best_so_far(tmp_path: Path) -> None:
    run(evaluation(tmp_path, [4.0, 4.5], best=5.0, period=0), start=8, end=10)
    assert files(tmp_path) == ["last_evaluation"]


def test_a_metric_that_is_not_there_is_told(tmp_path: Path, caplog: Any) -> None:
    run(evaluation(tmp_path, [4.0], best_metric="segm/AP", period=0))
    assert "No segm/AP among the results (bbox/AP)" in caplog.text
    assert files(tmp_path) == ["last_evaluation"]


@pytest.mark.parametrize(("start", "end", "evaluated"), [(4, 7, [3, 6]), (10, 10, [9])])
def test_an_evaluation_that_a_kill_broke_off_is_made_up_for(
    tmp_path: Path, start: int, end: int, evaluated: list[int]
) -> None:
    checkpointer = Checkpointer(nn.Linear(1, 1), str(tmp_path), metadata={"run": "this"})
    (tmp_path / "last_evaluation").write_text("another 99")
    for expected in (evaluated, evaluated[1:]):  # the second time, none is missing
        hook = evaluation(tmp_path, [1.0, 2.0], period=4, checkpointer=checkpointer)
        histories = run(hook, start=start, end=end).storage.histories()
        seen = histories["bbox/AP"].values() if "bbox/AP" in histories else []
        assert [iteration for _, iteration in seen] == expected
    assert (tmp_path / "last_evaluation").read_text() == f"this {evaluated[-1] + 1}"


def test_an_evaluation_between_the_logged_steps_costs_no_row(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.json"
    writers = [JSONWriter(str(metrics))]
    scores = [1.0, 2.0, 3.0]
    hook = evaluation(tmp_path, scores, period=4, writers=writers)
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    rate = LearningRateHook(optimizer, StepDecay(epochs=10, milestones=[8]))
    run(rate, hook, hooks.PeriodicWriter(writers, period=5))
    rows = read_metrics(metrics)
    assert [row["iteration"] for row in rows] == [3, 4, 7, 9]
    assert [row["bbox/AP"] for row in rows if "bbox/AP" in row] == scores


def test_metrics_are_forgotten_in_the_end() -> None:
    class Put(HookBase):
        def after_step(self) -> None:
            self.trainer.storage.put_scalar("loss", self.trainer.iter)

    loop = run(Put(), ForgetHook(period=4, keep=3), end=10)
    history = loop.storage.history("loss")
    assert [value for value, _ in history.values()] == [5, 6, 7, 8, 9]  # the last cut was after 7
    assert history.global_avg() == 4.5
