import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from detectron2.utils.events import EventStorage

from hdetr_d2.engine.writers import ConsoleWriter, build_writers
from hdetr_d2.errors import UserError

OFF = {"enabled": False, "project": None, "name": None}
ON = {"enabled": True, "project": "p", "name": "n"}


def fill(storage: EventStorage, iteration: int, loss: float) -> None:
    storage.iter = iteration
    storage.put_scalar("loss_class", loss)
    storage.put_scalar("loss_class_0", 10.0)
    storage.put_scalar("loss_class_enc", loss)
    storage.put_scalar("loss_class_one2many_0", 10.0)
    storage.put_scalar("total_loss", 3 * loss)
    storage.put_scalar("time/data", 0.25)
    storage.put_scalar("time/match", 0.125)
    storage.put_scalar("time", 2.0)
    storage.put_scalar("lr", 2e-4, smoothing_hint=False)
    storage.put_scalar("memory/peak_mb", 123.0, smoothing_hint=False)


def make(folder: Path, wandb: dict[str, Any]) -> list[Any]:
    return build_writers(
        folder=str(folder),
        start_iteration=0,
        max_iter=100,
        iterations_per_epoch=20,
        wandb=wandb,
        config={"a": 1},
    )


def test_the_line_has_what_one_waits_for(caplog: pytest.LogCaptureFixture) -> None:
    writer = ConsoleWriter(max_iter=100, iterations_per_epoch=20)
    with caplog.at_level(logging.INFO, "hdetr_d2"), EventStorage() as storage:
        writer.write()  # nothing yet
        fill(storage, 9, 1.5)
        writer.write()
        writer.write()  # nothing new
    assert caplog.messages == [
        "iteration 10/100  epoch 0.50  ETA 0:03:00  total_loss 4.5  loss_class 1.5  "
        "loss_class_enc 1.5  lr 0.0002  2.000 s/it (data 0.250, match 0.125)  memory 123 MB"
    ]


def times_of(storage: EventStorage, iteration: int, total: float | None, **parts: float) -> None:
    storage.iter = iteration
    for name, seconds in parts.items():
        storage.put_scalar(f"time/{name}", seconds)
    if total is not None:
        storage.put_scalar("time", total)


def test_the_parts_of_a_step_add_up_to_its_time() -> None:
    writer = ConsoleWriter(max_iter=100, iterations_per_epoch=20, window=3)
    with EventStorage() as storage:
        times_of(storage, 0, None, data=9.0, forward=9.0, graph=9.0)  # the first is not timed
        assert writer._times(storage) == "(data 9.000, forward 9.000, graph 9.000)"
        times_of(storage, 1, 3.0, data=1.0, forward=2.0)
        assert writer._times(storage) == "3.000 s/it (data 1.000, forward 2.000)"
        times_of(storage, 2, 6.0, data=1.0, forward=2.0, match=3.0)  # a part of this step alone
        times_of(storage, 3, 9.0, data=4.0, forward=5.0)
        assert writer._times(storage) == "6.000 s/it (data 2.000, forward 3.000, match 1.000)"
        times_of(storage, 4, 9.0, data=4.0, forward=5.0)
        times_of(storage, 5, 9.0, data=4.0, forward=5.0)
        assert writer._times(storage) == "9.000 s/it (data 4.000, forward 5.000)"


def test_parts_that_are_means_of_several_steps() -> None:
    """On CUDA they are read once in a while."""
    writer = ConsoleWriter(max_iter=100, iterations_per_epoch=20, window=4)
    with EventStorage() as storage:
        for iteration, parts in enumerate(
            [{}, {"data": 8.0}, {}, {"data": 1.0}, {}, {"data": 3.0}]
        ):
            times_of(storage, iteration, 5.0, **parts)
        assert writer._times(storage) == "5.000 s/it (data 2.000)"


def test_files_are_written(tmp_path: Path) -> None:
    with EventStorage() as storage:
        writers = make(tmp_path, OFF)
        fill(storage, 9, 1.5)
        for writer in writers:
            writer.write()
            writer.close()
    assert '"total_loss": 4.5' in (tmp_path / "metrics.json").read_text()
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_metrics_are_strict_json_by_growing_iteration(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"iteration": 0}\n')  # of a run that is resumed
    with EventStorage() as storage:
        writer = make(tmp_path, OFF)[1]
        storage.put_scalar("total_loss", float("nan"), cur_iter=3)
        storage.put_scalar("lr", 0.5, smoothing_hint=False, cur_iter=3)
        storage.put_scalar("bbox/AP-cat", float("-inf"), smoothing_hint=False, cur_iter=2)
        writer.write()
        writer.write()  # nothing new
        storage.put_scalar("lr", 0.25, smoothing_hint=False, cur_iter=5)
        writer.write()
        writer.close()
    assert (tmp_path / "metrics.json").read_text().splitlines() == [
        '{"iteration": 0}',
        '{"bbox/AP-cat": null, "iteration": 2}',
        '{"iteration": 3, "lr": 0.5, "total_loss": null}',
        '{"iteration": 5, "lr": 0.25}',
    ]


def test_wandb_gets_every_number_once_at_its_iteration(tmp_path: Path, monkeypatch: Any) -> None:
    logged: list[tuple[int, dict]] = []
    started: dict[str, Any] = {}
    finished: list[bool] = []

    def init(**options: Any) -> SimpleNamespace:
        started.update(options)
        return SimpleNamespace(
            log=lambda numbers, step: logged.append((step, numbers)),
            finish=lambda: finished.append(True),
        )

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    with EventStorage() as storage:
        writer = make(tmp_path, ON)[-1]
        fill(storage, 3, 1.0)
        storage.put_scalar("bbox/AP", 4.0, smoothing_hint=False, cur_iter=2)
        writer.write()
        writer.write()
        fill(storage, 5, 2.0)
        writer.write()
        writer.close()
    assert [step for step, _ in logged] == [2, 3, 5]
    assert logged[0][1] == {"bbox/AP": 4.0}
    assert logged[2][1]["total_loss"] == 6.0
    assert started == {"project": "p", "name": "n", "config": {"a": 1}, "dir": str(tmp_path)}
    assert finished == [True]


def test_wandb_asked_for_and_absent_is_a_sentence(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"train.wandb.enabled=true needs the package wandb"):
        make(tmp_path, ON)
