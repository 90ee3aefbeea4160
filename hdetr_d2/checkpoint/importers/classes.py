"""The classes of a published model: COCO's category ids, or the 80 of them that are in use."""

from dataclasses import replace

import torch
from detectron2.data import MetadataCatalog

from hdetr_d2.checkpoint.importers.base import Imported
from hdetr_d2.errors import UserError

NUM_COCO_IDS = 91  # 0 to 90, as DETR's successors count
_HEADS = ".class_heads."


def class_names(num_classes: int, *, coco80: bool) -> list[str]:
    """By class index: COCO's where they are known, else numbers."""
    names, labels = _coco()
    if coco80:
        return names
    known = labels if num_classes == NUM_COCO_IDS else {}
    return [names[known[i]] if i in known else f"class {i}" for i in range(num_classes)]


def keep_coco80(imported: Imported) -> Imported:
    """With only those rows of the class heads that Detectron2's COCO uses: category ids 1 to 90
    become labels 0 to 79.

    Raises:
        UserError: the heads do not have 91 classes.
    """
    found = imported.options["data.num_classes"]
    if found != NUM_COCO_IDS:
        raise UserError(
            f"--classes coco80 needs heads with the {NUM_COCO_IDS} category ids of COCO: "
            f"these have {found} classes"
        )
    rows = torch.tensor(sorted(_coco()[1]))
    # Where channel 0 tells objects from background it must stay; the class whose place it takes was
    # never taught to such a head.
    objectness = rows.clone()
    objectness[0] = 0
    weights = dict(imported.weights)
    for name in weights:
        if _HEADS in name:
            finds_objects = name.startswith(imported.objectness_heads)
            kept = objectness if finds_objects else rows
            # Behind the classes stands "no object" in a head that knows it.
            behind = torch.arange(found, len(weights[name]))
            weights[name] = weights[name][torch.cat([kept, behind])]
    for name in imported.label_tables:
        weights[name] = weights[name][[*rows.tolist(), found]]
    return replace(
        imported, weights=weights, options=imported.options | {"data.num_classes": len(rows)}
    )


def _coco() -> tuple[list[str], dict[int, int]]:
    """The names of COCO's 80 classes, and the label of each category id."""
    meta = MetadataCatalog.get("coco_2017_val")
    return list(meta.thing_classes), meta.thing_dataset_id_to_contiguous_id
