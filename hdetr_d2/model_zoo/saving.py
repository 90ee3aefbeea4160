"""Writes a trained model in memory to a folder for sharing."""

import shutil
from pathlib import Path

from hdetr_d2.checkpoint.folder import FILES, write_folder
from hdetr_d2.checkpoint.weights import without_training_only
from hdetr_d2.errors import UserError
from hdetr_d2.inference.loading import TrainedDetector
from hdetr_d2.model_zoo.card import ModelCard
from hdetr_d2.model_zoo.facts import Facts
from hdetr_d2.model_zoo.record import Record
from hdetr_d2.utils.new_folder import new_folder, require_new

CARD, CURVES, PICTURE = "README.md", "curves.png", "examples.png"
SHARED = (CARD, *FILES, CURVES, PICTURE)
"""All files that such a folder may contain."""


def save_pretrained(
    detector: object, folder: str | Path, name: str | None = None, option: str = "folder"
) -> None:
    """See `Predictor.save_pretrained`.

    Args:
        detector: of a predictor.
        name: of the model on the hub; None uses the name of the folder.
        option: whose value `folder` is, for messages.

    Raises:
        UserError: it cannot be written, or the detector does not come from a checkpoint.
    """
    target = require_new(folder, option)
    if not isinstance(detector, TrainedDetector) or "config" not in detector.metadata:
        raise UserError("save_pretrained: only the model of a checkpoint is saved, no exported one")
    with new_folder(target) as draft:
        model, config = detector.model, detector.metadata["config"]
        weights = without_training_only(model, model.state_dict())
        write_folder(draft, weights, config, detector.class_names)
        record = Record.of(detector.origin, detector.metadata)
        card = ModelCard(
            name=name or target.resolve().name,
            class_names=detector.class_names,
            facts=Facts(config),
            iteration=record.iteration,
            figures=record.figures(),
            pictures=_pictures(record, draft),
        )
        (draft / CARD).write_text(card.text(), encoding="utf-8")


def _pictures(record: Record, folder: Path) -> dict[str, str]:
    """Writes the pictures of the run into the folder; returns their captions."""
    pictures = {}
    if record.draw_curves(folder / CURVES):
        pictures[CURVES] = "Losses, AP and learning rate of the training"
    if (picture := record.picture()) is not None:
        shutil.copyfile(picture, folder / PICTURE)
        pictures[PICTURE] = "Validation images with their true and their predicted objects"
    return pictures
