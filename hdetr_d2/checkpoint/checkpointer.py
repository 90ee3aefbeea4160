"""Detectron2's checkpointer, made robust against kills while writing, and against files that do not
fit.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from detectron2.checkpoint import DetectionCheckpointer
from torch import Tensor, nn

from hdetr_d2.checkpoint.classifiers import Classifier, put_classifier
from hdetr_d2.checkpoint.files import read_checkpoint, require_plain, write_durably
from hdetr_d2.checkpoint.rows import with_common_rows
from hdetr_d2.checkpoint.weights import (
    evaluated_weights,
    put_weights,
    training_only,
    without_training_only,
)
from hdetr_d2.errors import UserError
from hdetr_d2.modeling.backbone.first_convolution import adapted, refuse_frozen, with_channels
from hdetr_d2.modeling.low_rank import fresh_adapters, merged
from hdetr_d2.utils.distributed import gathered

logger = logging.getLogger(__name__)


class Checkpointer(DetectionCheckpointer):
    """Saves and loads a model with its training state.

    A file is a dict: `model` (maps names to tensors), one entry for each checkpointable, such as
    `optimizer` and `ema`, and `metadata` in plain Python: class names, the config as YAML, the
    number of completed iterations, the best metric. `last_checkpoint` in the same folder names the
    file to resume from.
    """

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        metadata: Mapping[str, Any] | None = None,
        save_to_disk: bool | None = None,
        **checkpointables: Any,
    ) -> None:
        """
        Args:
            metadata: stored in every file of this run.
            save_to_disk: None saves in the main process only.
            checkpointables: objects with `state_dict` and `load_state_dict`.
        """
        super().__init__(model, save_dir, save_to_disk=save_to_disk, **checkpointables)
        self.metadata = dict(metadata or {})

    def save(self, name: str, **metadata: Any) -> None:
        """Writes `<name>.pth` with everything needed to resume, then names it in `last_checkpoint`.
        Both this and the next function must be called by all processes, since each may hold a part
        of the tensors.

        Raises:
            UserError: the file cannot be written.
        """
        states = {key: item.state_dict() for key, item in self.checkpointables.items()}
        content = gathered({"model": self.model.state_dict(), **states})
        if self._write(name, content, metadata):
            self.tag_last_checkpoint(f"{name}.pth")

    def save_weights(self, name: str, weights: Mapping[str, Tensor], **metadata: Any) -> None:
        """Writes `<name>.pth` with the weights used in evaluation. It cannot be resumed from, so it
        is not tagged.
        """
        whole = gathered(dict(weights))
        if not (self.save_dir and self.save_to_disk):
            return
        plain = without_training_only(self.model, merged(whole))
        self._write(name, {"model": plain}, metadata)

    def _write(self, name: str, content: dict[str, Any], metadata: Mapping[str, Any]) -> bool:
        """Whether this process writes files."""
        if not self.save_dir or not self.save_to_disk:
            return False
        content["metadata"] = {**self.metadata, **metadata}
        require_plain(content, "checkpoint")
        path = Path(self.save_dir) / f"{name}.pth"
        logger.info("Saving checkpoint to %s", path)
        write_durably(path, lambda file: torch.save(content, file))
        return True

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Names the file to resume from, which must already exist and be complete."""
        path = Path(self.save_dir) / "last_checkpoint"
        write_durably(path, lambda file: file.write(last_filename_basename.encode()))

    def get_checkpoint_file(self) -> str:
        """The file named by `last_checkpoint`.

        Raises:
            UserError: that file does not exist.
        """
        path = super().get_checkpoint_file()
        if not os.path.isfile(path):
            raise UserError(
                f"{self.save_dir}/last_checkpoint names {os.path.basename(path)!r}, which is not "
                "there: write the name of a checkpoint of this folder into it, or delete it"
            )
        return path

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """Loads a file; an empty path loads nothing.

        Args:
            checkpointables: None resumes: everything must exist and fit. An empty list only
                initialises the weights (with the averaged ones if the file has them). Then the
                class head, parts needed only in training, and added parts, as listed by the model
                in `class_head_keys()`, `training_only_keys()` and `optional_keys()`, keep their
                initial values where they do not fit; tables with another number of rows take the
                rows of equal meaning, see `with_common_rows`; and an RGB first convolution is
                adapted to other channels, see `with_channels`. A classifier's file is loaded into
                the backbone only.

        Returns:
            The file's `metadata`; empty if it has none.

        Raises:
            UserError: the file cannot be read, or keys do not fit; all of them are listed.
        """
        if not path:
            return {}
        checkpoint = read_checkpoint(path)
        metadata = checkpoint.get("metadata", {})
        if checkpointables == [] and (classifier := Classifier.of(checkpoint)):
            put_classifier(self.model, classifier, path)
        elif checkpointables == []:
            may_differ = [*self.model.class_head_keys(), *training_only(self.model)]
            may_differ += getattr(self.model, "optional_keys", list)()
            names = [each.get("class_names", ()) for each in (self.metadata, metadata)]
            weights = fresh_adapters(self.model) | evaluated_weights(checkpoint)
            weights = with_common_rows(self.model, weights, path, (names[0], names[1]))
            state = self.model.state_dict()
            changed = adapted(weights, state)
            weights = with_channels(weights, state, path)
            put_weights(self.model, weights, path, may_differ=may_differ)
            refuse_frozen(self.model, changed, "model.backbone.frozen, or model.freeze,")
        else:
            put_weights(self.model, checkpoint["model"], path)
        for key in self.checkpointables if checkpointables is None else checkpointables:
            self._load_state(key, checkpoint, path)
        return metadata

    def _load_state(self, key: str, checkpoint: Mapping[str, Any], path: str) -> None:
        if key not in checkpoint:
            raise UserError(
                f"{path} holds no state of the {key}, so the run cannot be resumed from it; "
                f"start a new one with train.init_checkpoint={path}"
            )
        try:
            self.checkpointables[key].load_state_dict(checkpoint[key])
        except (ValueError, RuntimeError, KeyError) as error:
            raise UserError(f"{path}: the state of the {key} does not fit: {error}") from error
