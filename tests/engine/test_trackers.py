import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from detectron2.utils.events import EventStorage

from hdetr_d2.engine.trackers import MlflowWriter, WandbWriter
from hdetr_d2.errors import UserError


class Client:
    """What an MLflow server remembers."""

    def __init__(self, tracking_uri: str) -> None:
        self.uri = tracking_uri
        self.experiments: list[str] = []
        self.metrics: list[tuple] = []
        self.params: dict[str, str] = {}
        self.ended = False
        self.broken = False

    def get_experiment_by_name(self, name: str) -> None: ...

    def create_experiment(self, name: str) -> str:
        self.experiments.append(name)
        return "1"

    def create_run(self, number: str, run_name: str | None) -> SimpleNamespace:
        return SimpleNamespace(info=SimpleNamespace(run_id=f"{number}/{run_name}"))

    def log_batch(self, run: str, metrics: tuple = (), params: tuple = ()) -> None:
        assert run == "1/n" and len(params) <= 100
        if self.broken:
            raise ConnectionError("no\nserver")
        self.metrics += metrics
        self.params |= dict(params)

    def set_terminated(self, run: str) -> None:
        self.ended = True


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    made: list[Client] = []

    def client(tracking_uri: str) -> Client:
        made.append(Client(tracking_uri))
        return made[-1]

    mlflow, entities = ModuleType("mlflow"), ModuleType("mlflow.entities")
    mlflow.MlflowClient, mlflow.is_tracking_uri_set = client, lambda: False
    entities.Metric = lambda name, value, stamp, step: (name, value, step)
    entities.Param = lambda key, value: (key, value)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    return made


def writer(folder: Path) -> MlflowWriter:
    config = {"train": {"seed": 3, "amp": {"enabled": False}}, "sides": [1, 2]}
    return MlflowWriter(experiment="e", name="n", config=config, folder=str(folder))


def test_mlflow_gets_every_finite_number_once_at_its_iteration(
    clients: list[Client], tmp_path: Path
) -> None:
    with EventStorage() as storage:
        tracker = writer(tmp_path)
        storage.put_scalar("bbox/AP", 4.0, cur_iter=2)
        storage.put_scalar("lr", 0.5, cur_iter=3)
        storage.put_scalar("bbox/APl", float("nan"), cur_iter=3)
        tracker.write()
        tracker.write()
        storage.put_scalar("lr", 0.25, cur_iter=5)
        tracker.write()
        tracker.close()
    (client,) = clients
    assert client.uri == f"sqlite:///{tmp_path}/mlflow.db" and client.experiments == ["e"]
    assert client.metrics == [("bbox/AP", 4.0, 2), ("lr", 0.5, 3), ("lr", 0.25, 5)]
    assert client.params == {"train.seed": "3", "train.amp.enabled": "False", "sides": "[1, 2]"}
    assert client.ended


def test_a_server_that_is_gone_is_one_warning(
    clients: list[Client], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with EventStorage() as storage:
        tracker = writer(tmp_path)
        clients[0].broken = True
        for iteration in (1, 2):
            storage.put_scalar("lr", 0.5, cur_iter=iteration)
            tracker.write()
    assert caplog.messages == ["MlflowWriter lacks metrics from now on: no server"]


def test_mlflow_absent_or_refusing_is_a_sentence(
    clients: list[Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "create_experiment", lambda *_: 1 / 0)
    with pytest.raises(UserError, match="MLflow does not start: division by zero"):
        writer(tmp_path)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UserError, match=r"train.mlflow.enabled=true needs the package mlflow"):
        writer(tmp_path)


def test_wandb_without_a_login_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**options: Any) -> None:
        raise RuntimeError("No API key configured.")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    with pytest.raises(UserError, match=r"No API key configured.*WANDB_MODE=offline"):
        WandbWriter(project="p", name="n", config={}, folder=str(tmp_path))
