"""Metrics for experiment trackers: Weights & Biases, MLflow."""

import logging
import math
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from detectron2.utils.events import EventWriter, get_event_storage

from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)

LONGEST_PARAMETER = 6000  # characters; MLflow's limit


class Tracker(EventWriter):
    """Sends the latest value of every scalar once. If a service fails after the start, one warning
    is logged and the training continues.
    """

    def __init__(self) -> None:
        self._written = -1
        self._failed = False

    @abstractmethod
    def send(self, numbers: Mapping[str, float], iteration: int) -> None:
        """Sends the metrics of an iteration by name; called with increasing iterations."""

    def write(self) -> None:
        fresh: dict[int, dict[str, float]] = {}
        for name, (value, iteration) in get_event_storage().latest().items():
            if iteration > self._written:
                fresh.setdefault(iteration, {})[name] = value
        # Steps must increase, so values of earlier iterations go first.
        for iteration in sorted(fresh):
            try:
                self.send(fresh[iteration], iteration)
            except Exception as error:
                self._warn(error)
        self._written = max(fresh, default=self._written)

    def _warn(self, error: Exception) -> None:
        if not self._failed:
            text = " ".join(str(error).split())
            logger.warning("%s lacks metrics from now on: %s", type(self).__name__, text)
        self._failed = True


class WandbWriter(Tracker):
    """Sends metrics to Weights & Biases, or into the folder of the run with WANDB_MODE=offline."""

    def __init__(
        self, *, project: str | None, name: str | None, config: Mapping[str, Any], folder: str
    ) -> None:
        """
        Raises:
            UserError: wandb is not installed, or does not start.
        """
        super().__init__()
        try:
            import wandb
        except ImportError as error:
            raise UserError(
                "train.wandb.enabled=true needs the package wandb (pip install wandb)"
            ) from error
        try:
            self._run = wandb.init(project=project, name=name, config=dict(config), dir=folder)
        except Exception as error:
            raise UserError(
                f"Weights & Biases does not start ({' '.join(str(error).split())}); "
                f"WANDB_MODE=offline in the environment writes to {folder}/wandb instead"
            ) from error

    def send(self, numbers: Mapping[str, float], iteration: int) -> None:
        self._run.log(dict(numbers), step=iteration)

    def close(self) -> None:
        self._run.finish()


class MlflowWriter(Tracker):
    """Sends metrics to MLflow: to the server of MLFLOW_TRACKING_URI, or else to `mlflow.db` in the
    folder of the run, which `mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db` displays.
    """

    def __init__(
        self, *, experiment: str, name: str | None, config: Mapping[str, Any], folder: str
    ) -> None:
        """
        Args:
            experiment: name of the experiment; created if it does not exist.
            name: name of the run in MLflow; None lets MLflow choose one.
            config: its options are logged as parameters under their dotted names.

        Raises:
            UserError: mlflow is not installed, or does not start.
        """
        super().__init__()
        try:
            import mlflow
            from mlflow.entities import Metric, Param
        except ImportError as error:
            raise UserError(
                "train.mlflow.enabled=true needs the package mlflow (pip install mlflow)"
            ) from error
        self._metric = Metric
        try:
            given = mlflow.is_tracking_uri_set()
            uri = mlflow.get_tracking_uri() if given else f"sqlite:///{folder}/mlflow.db"
            self._client = mlflow.MlflowClient(tracking_uri=uri)
            known = self._client.get_experiment_by_name(experiment)
            number = known.experiment_id if known else self._client.create_experiment(experiment)
            self._run = self._client.create_run(number, run_name=name).info.run_id
            options = [Param(key, str(value)[:LONGEST_PARAMETER]) for key, value in _flat(config)]
            for first in range(0, len(options), 100):  # MLflow's limit per call
                self._client.log_batch(self._run, params=options[first : first + 100])
        except Exception as error:
            raise UserError(f"MLflow does not start: {' '.join(str(error).split())}") from error

    def send(self, numbers: Mapping[str, float], iteration: int) -> None:
        now = int(1000 * time.time())
        metrics = [
            # MLflow allows no other characters.
            self._metric(name.replace("<", "_").replace(">", "_"), float(value), now, iteration)
            for name, value in numbers.items()
            if math.isfinite(value)
        ]
        for first in range(0, len(metrics), 1000):
            self._client.log_batch(self._run, metrics=metrics[first : first + 1000])

    def close(self) -> None:
        try:
            self._client.set_terminated(self._run)
        except Exception as error:
            self._warn(error)


def _flat(config: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of a config's options; a list is one value."""
    if not isinstance(config, Mapping):
        yield path, config
        return
    for key, value in config.items():
        yield from _flat(value, f"{path}.{key}" if path else str(key))
