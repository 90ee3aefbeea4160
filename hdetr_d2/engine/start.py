"""The starting point of a training: another run's weights, its own last checkpoint, or initial
weights; and what happens to the contents of its folder.
"""

import logging
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.utils import comm
from omegaconf import DictConfig

from hdetr_d2.checkpoint import Checkpointer, read_checkpoint
from hdetr_d2.data.survey import few
from hdetr_d2.engine.class_names import get_class_names
from hdetr_d2.engine.compare import compare_configs
from hdetr_d2.engine.config import save_config
from hdetr_d2.engine.hooks import BEST
from hdetr_d2.engine.random_constants import refuse_random_constants
from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)

RUN_METADATA = {"iteration", "config", "run"}


def has_run(folder: str) -> bool:
    """Whether there is a run in `folder` that could be resumed."""
    return os.path.isfile(os.path.join(folder, "last_checkpoint"))


def starting_point(cfg: DictConfig, checkpointer: Checkpointer, *, resume: bool) -> int:
    """Loads the weights or the checkpoint to start from, and logs which.

    Returns:
        The number of completed iterations.

    Raises:
        UserError: the checkpoint cannot be read, does not fit, or belongs to another run.
    """
    folder, weights = cfg.train.output_dir, cfg.train.init_checkpoint
    if has_run(folder):
        if resume:
            return _resume(cfg, checkpointer)
        logger.warning(
            "%s holds an earlier run, which this one overwrites; --resume would continue it", folder
        )
    elif resume:
        logger.warning("Nothing to resume: %s holds no last_checkpoint", folder)
    checkpointer.metadata["run"] = secrets.token_hex(8)
    source = checkpointer.load(weights, checkpointables=[])
    if not weights:
        refuse_random_constants(checkpointer.model)
    origin = f"weights {weights}" if weights else "the model's initial weights"
    logger.info("Fresh start from %s", origin)
    compare_classes(source, get_class_names(cfg), weights)
    return 0


def compare_classes(metadata: Mapping[str, Any], class_names: Sequence[str], path: str) -> None:
    """Warns if the metadata of the checkpoint `path` list other classes than the data set,
    regardless of order.
    """
    names = list(metadata.get("class_names", class_names))
    if sorted(names) != sorted(class_names):
        logger.warning("%s was trained on other classes: %s", path, ", ".join(names))


def require_as_many_classes(
    metadata: Mapping[str, Any], class_names: Sequence[str], path: str
) -> None:
    """
    Raises:
        UserError: the metadata of the checkpoint `path` list another number of classes than the
            data set has.
    """
    names = list(metadata.get("class_names", class_names))
    if len(names) == len(class_names):
        return
    only = {"the file": set(names) - set(class_names), "the data": set(class_names) - set(names)}
    texts = [f"; only in {who}: {few(sorted(found))}" for who, found in only.items() if found]
    raise UserError(
        f"{path} has {len(names)} classes, and cannot be evaluated on data that have "
        f"{len(class_names)}{''.join(texts)}"
    )


def take_folder(cfg: DictConfig, *, fresh: bool) -> None:
    """Claims the output folder for this run: writes its config and, after a fresh start, makes sure
    that no file of an earlier run is mistaken for its own. Every process calls this.
    """
    comm.synchronize()  # another process may still be reading the folder
    if not comm.is_main_process():
        return
    folder = Path(cfg.train.output_dir)
    if fresh:
        (folder / "last_checkpoint").unlink(missing_ok=True)
        best, earlier = (folder / f"{name}.pth" for name in (BEST, f"{BEST}_earlier"))
        if best.is_file():
            best.replace(earlier)
            logger.warning("%s belongs to an earlier run, and is renamed to %s", best, earlier.name)
    save_config(cfg, folder / "config.yaml")
    logger.info("The resolved config is in %s", folder / "config.yaml")


def _resume(cfg: DictConfig, checkpointer: Checkpointer) -> int:
    path = checkpointer.get_checkpoint_file()
    metadata = read_checkpoint(path, only_look=True).get("metadata", {})
    if not metadata.keys() >= RUN_METADATA:
        raise UserError(f"{path} was not written by a training of this project: nothing to resume")
    # Before loading weights: one line about options is clearer than a list of keys that do not fit.
    compare_configs(metadata["config"], cfg)
    checkpointer.load(path)
    checkpointer.metadata["run"] = metadata["run"]
    best = best_metric(cfg.train.output_dir, metadata["run"])
    if best is not None:
        checkpointer.metadata["best_metric"] = best
    logger.info("Resumed at iteration %d from %s", metadata["iteration"], path)
    return metadata["iteration"]


def best_metric(folder: str, run: str) -> float | None:
    """The metric of `model_best.pth` in `folder`; None if this run has none."""
    path = os.path.join(folder, f"{BEST}.pth")
    if not os.path.isfile(path):
        return None
    metadata = read_checkpoint(path, only_look=True).get("metadata", {})
    return metadata.get("best_metric") if metadata.get("run") == run else None
