"""The classes of a published model: all of COCO's category ids, or those in use."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from detectron2.data import MetadataCatalog
from torch import Tensor

from hdetr_d2.checkpoint.importers.base import Imported
from hdetr_d2.errors import UserError

NUM_COCO_IDS = 91  # 0 to 90, as in DETR and its successors
NUM_PANOPTIC_IDS = 250  # including those of stuff, 92 to 200, and spare ones
# Names of the classes in use, and Detectron2's data set with them.
COCO_IDS = {
    NUM_COCO_IDS: ("coco80", "coco_2017_val"),
    NUM_PANOPTIC_IDS: ("coco133", "coco_2017_val_panoptic"),
}
CLASSES = ("all", *(name for name, _ in COCO_IDS.values()))
THINGS = "data.thing_classes"
_HEADS = ".class_heads."


def class_names(num_ids: int) -> list[str]:
    """For a model with `num_ids` classes, by index: COCO's names if known, otherwise numbers."""
    names, labels = _coco(num_ids)
    return [names[labels[i]] if i in labels else f"class {i}" for i in range(num_ids)]


def checked_names(names: Sequence[Any], number: int) -> list[str]:
    """Class names given by a file or a user for `number` classes, if there are any.

    Raises:
        UserError: they are not the names of that many classes.
    """
    plain = all(isinstance(name, str) and "${" not in name for name in names)
    if names and not (plain and len(names) == number):
        raise UserError(f"classes={names} are not the names of the {number} classes of the weights")
    return [*names]


def coco_names(number: int) -> list[str]:
    """COCO's names in Detectron2's order, if there are that many; otherwise empty."""
    names = MetadataCatalog.get(COCO_IDS[NUM_COCO_IDS][1]).thing_classes
    return list(names) if number == len(names) else []


def keep_coco(imported: Imported, classes: str) -> Imported:
    """Keeps only the rows of the class heads that Detectron2's COCO uses: with "coco80", category
    ids 1 to 90 become labels 0 to 79; with "coco133", 1 to 200 become 0 to 132.

    Raises:
        UserError: the heads have another number of classes.
    """
    found = imported.options["data.num_classes"]
    expected = next(number for number, (name, _) in COCO_IDS.items() if name == classes)
    if found != expected:
        raise UserError(
            f"--classes {classes} needs heads with the {expected} category ids of COCO: "
            f"these have {found} classes"
        )
    names, labels = _coco(found)
    options = imported.options | {"data.num_classes": len(labels)}
    if THINGS in options:
        options[THINGS] = sorted(labels[i] for i in options[THINGS] if i in labels)
    weights = _with_rows(imported, sorted(labels), found)
    return replace(imported, weights=weights, options=options, class_names=names)


def _with_rows(imported: Imported, ids: Sequence[int], num_ids: int) -> dict[str, Tensor]:
    """The weights with the rows `ids` out of `num_ids` in every class head and label table."""
    rows = torch.tensor(ids)
    # Where channel 0 separates objects from background it must stay; such a head was never trained
    # on the class that it replaces.
    objectness = rows.clone()
    objectness[0] = 0
    weights = dict(imported.weights)
    for name in weights:
        if _HEADS in name:
            finds_objects = name.startswith(imported.objectness_heads)
            kept = objectness if finds_objects else rows
            # After the classes, heads that know "no object" have a row for it.
            behind = torch.arange(num_ids, len(weights[name]))
            weights[name] = weights[name][torch.cat([kept, behind])]
    for name in imported.label_tables:
        weights[name] = weights[name][[*ids, num_ids]]
    return weights


def _coco(num_ids: int) -> tuple[list[str], dict[int, int]]:
    """The names of COCO's classes, and the label of each category id; nothing if this number of
    classes is not COCO's.
    """
    if num_ids not in COCO_IDS:
        return [], {}
    meta = MetadataCatalog.get(COCO_IDS[num_ids][1])
    stuff = meta.get("stuff_dataset_id_to_contiguous_id", {})
    return list(meta.thing_classes), meta.thing_dataset_id_to_contiguous_id | stuff
