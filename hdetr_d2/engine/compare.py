"""Which options may differ between a run and its resumption."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from omegaconf import DictConfig

from hdetr_d2.engine.config import plain_config
from hdetr_d2.engine.earlier_names import renamed
from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)

# These determine what is learned, from what data, and how.
DECISIVE = (
    "data",
    "dataloader.train",
    "lr_multiplier",
    "model",
    "optimizer",
    "train.amp",
    "train.clip_grad_norm",
    "train.ema",
    "train.iterations_per_epoch",
    "train.seed",
)
# A data set may have moved (its classes and size are compared), and how it is read does not matter.
FREE = (
    "data.folder",
    "data.generate",
    "data.train_images",
    "data.train_json",
    "data.train_name",
    "data.train_panoptic",
    "data.val_images",
    "data.val_json",
    "data.val_name",
    "data.val_panoptic",
    "dataloader.train.num_workers",
    # A run that an image has stopped goes on without it.
    "dataloader.train.on_bad_image",
    "dataloader.train.patience",
)
ABSENT = "(none)"
# Applies anywhere in the config: it trades memory for time with the same result, and a run that ran
# out of memory needs to change it.
CHECKPOINTING = "checkpointing"
# Both may change: the learning rate is a function of iteration / max_iter.
FOLLOWED = ("train.epochs", "train.max_iter")


def compare_configs(old: str, new: DictConfig) -> None:
    """Compares the config of the checkpoint (YAML) with that of the resumed run.

    A longer or shorter training is accepted with a warning. Differences in model, optimizer,
    schedule or data are an error, or a warning with `train.resume_with_changes=true`.

    Raises:
        UserError: such options differ; all of them are listed.
    """
    changes = dict(differences(renamed(yaml.safe_load(old)), plain_config(new)))
    for key in FOLLOWED:
        if key in changes:
            logger.warning(
                "Resuming with another %s: %s; the learning rate follows iteration / max_iter",
                key,
                changes[key],
            )
    decisive = [
        f"{key}: {change}"
        for key, change in changes.items()
        if _below(key, DECISIVE) and not _is_free(key)
    ]
    if not decisive:
        return
    listing = "; ".join(decisive)
    if not new.train.resume_with_changes:
        raise UserError(
            f"--resume with another config than the run began with ({listing}): give the same "
            "options, set train.resume_with_changes=true, or start anew in another train.output_dir"
        )
    logger.warning("Resuming with changes: %s", listing)


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yields the dotted path and `old -> new` of every option that differs between two plain
    configs.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            below = f"{path}.{key}" if path else str(key)
            yield from differences(old.get(key, ABSENT), new.get(key, ABSENT), below)
    # An option that is off and did not exist when the run began changes nothing.
    elif old != new and not (old in (None, ABSENT) and new in (None, ABSENT)):
        before, after = ("''" if value == "" else value for value in (old, new))
        yield path, f"{before} -> {after}"


def _is_free(key: str) -> bool:
    return _below(key, FREE) or key.rpartition(".")[2] == CHECKPOINTING


def _below(key: str, prefixes: tuple[str, ...]) -> bool:
    return any(key == prefix or key.startswith(f"{prefix}.") for prefix in prefixes)
