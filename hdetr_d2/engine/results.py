"""The results of a run's last evaluation, and the data that it used."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog
from omegaconf import DictConfig

from hdetr_d2.data import read_results, register_datasets
from hdetr_d2.data.registry import names_as_before
from hdetr_d2.engine.config import load_config
from hdetr_d2.errors import UserError
from hdetr_d2.judging import SHAPES, Task
from hdetr_d2.utils.json_file import read_json
from hdetr_d2.visualization import read_metrics

logger = logging.getLogger(__name__)

CONFIG = "config.yaml"
RESULTS = "coco_instances_results.json"
SAME = 0.01  # tolerance, in AP percent


@dataclass(frozen=True)
class RunResults:
    """A training run, as found in its output folder.

    Attributes:
        folder: the output folder.
        cfg: the config of its last evaluation.
        truth: the content of the COCO json used in that evaluation.
        results: COCO results, with the ids of that json.
        file: the file with these results.
        images: the folder of the images.
        max_dets: the limit on detections per image and class in the evaluation.
    """

    folder: Path
    cfg: DictConfig
    truth: dict[str, Any]
    results: list[dict[str, Any]]
    file: Path
    images: Path
    max_dets: int

    def metrics(self) -> list[dict[str, float]]:
        """The rows of the run's metrics.json; empty if there is none, as after an evaluation
        alone.
        """
        path = self.folder / "metrics.json"
        return read_metrics(path) if path.is_file() else []

    def warn_of_changes(self, ap: float, task: str) -> None:
        """Logs a warning if the last evaluation of the training reported a different AP, in
        percent.
        """
        name = f"{task}/AP"
        seen = [row[name] for row in self.metrics() if name in row]
        if seen and not abs(seen[-1] - ap) < SAME:
            logger.warning(
                f"AP is {ap:.2f} here, and was {seen[-1]:.2f} at the last evaluation of the "
                f"training {self.folder}: others of its weights were evaluated since, or its "
                "validation data have changed"
            )


def read_run(folder: str | Path, task: Task = "bbox") -> RunResults:
    """Reads the output folder of a training or an evaluation.

    Args:
        task: determines the shapes that the detections must have.

    Raises:
        UserError: there is no config, there are no detections, or the validation data cannot be
            read or are not COCO instances.
    """
    folder = Path(folder)
    # The config of the last evaluation, or else that of the run.
    paths = (folder / "inference" / CONFIG, folder / CONFIG)
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise UserError(f"{folder} is not the output folder of a training: it has no {CONFIG}")
    cfg = load_config(str(path))
    cfg.train.output_dir = str(folder)  # the folder may have been moved
    evaluator = cfg.dataloader.evaluator
    file = Path(evaluator.get("output_dir") or folder / "inference") / RESULTS
    if not file.is_file():
        raise UserError(f"{folder} has no detections of an evaluation: {file} is not a file")
    results = read_results(file, shape=SHAPES[task])
    data = cfg.data
    named = data.val_name if data.get("val_json") or data.get("folder") else None
    with names_as_before(free=named):  # the same name may refer to other data in another run
        known = {**data, "generate": None}
        data.update(register_datasets(known, cfg.dataloader, for_training=False).replaced)
        metadata = MetadataCatalog.get(data.val_name)
        if metadata.get("evaluator_type") != "coco":
            raise UserError(f"the data set {data.val_name!r} of {folder} is not COCO's instances")
        truth = read_json(metadata.json_file)
    if "annotations" not in truth:
        raise UserError(f"{metadata.json_file} has no annotations to compare with")
    limit = evaluator.get("max_dets_per_image") or 100
    return RunResults(folder, cfg, truth, results, file, Path(metadata.image_root), limit)
