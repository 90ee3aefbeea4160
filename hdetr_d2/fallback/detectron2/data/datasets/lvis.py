"""Data sets in the format of LVIS's instance annotations."""

import json
import logging
from collections import defaultdict
from collections.abc import Sequence

from detectron2._subset import absent
from detectron2.structures import BoxMode
from detectron2.utils.file_io import PathManager

from ..catalog import DatasetCatalog, MetadataCatalog

__all__ = ["get_lvis_instances_meta", "load_lvis_json", "register_lvis_instances"]
__getattr__ = absent(__name__)

logger = logging.getLogger(__name__)


def register_lvis_instances(name: str, metadata: dict, json_file: str, image_root: str) -> None:
    """Registers an LVIS json under `name`; nothing is read before the data set is requested.

    Args:
        name: used in configs.
        metadata: additional attributes for `MetadataCatalog.get(name)`.
        json_file: the annotations.
        image_root: prepended, as it is, to the last two parts of an image's `coco_url`, so it
            should end with a slash.
    """
    DatasetCatalog.register(name, lambda: load_lvis_json(json_file, image_root, name))
    known = {"json_file": json_file, "image_root": image_root, "evaluator_type": "lvis"}
    MetadataCatalog.get(name).set(**known, **metadata)


def load_lvis_json(
    json_file: str,
    image_root: str,
    dataset_name: str | None = None,
    extra_annotation_keys: Sequence[str] | None = None,
) -> list[dict]:
    """Reads LVIS annotations; images are sorted by id.

    Args:
        json_file: the annotations.
        image_root: prepended to train2017/000000000001.jpg and the like.
        dataset_name: if given, `thing_classes` is added to its metadata.
        extra_annotation_keys: additional keys of annotations to keep.

    Returns:
        One dict per image: file_name, height, width, image_id, not_exhaustive_category_ids and
        neg_category_ids (as in the json, from 1), annotations (bbox, bbox_mode XYWH_ABS,
        category_id from 0, segmentation: polygons).

    Raises:
        AssertionError: annotation ids are not unique, or a polygon has fewer than 3 points.
    """
    content = _read(json_file)
    if dataset_name is not None:
        MetadataCatalog.get(dataset_name).set(**_meta(content))
    grouped = defaultdict(list)
    for annotation in content["annotations"]:
        grouped[annotation["image_id"]].append(annotation)
    assert len({a["id"] for a in content["annotations"]}) == len(content["annotations"]), (
        f"Two annotations of '{json_file}' have the same id: ids must be unique."
    )
    keys = extra_annotation_keys or ()
    images = sorted(content["images"], key=lambda image: image["id"])
    logger.info(f"Read {len(images)} images from {json_file}")
    return [
        {
            # Only the URL contains the split: LVIS val also uses images from COCO train.
            "file_name": image_root + "/".join(image["coco_url"].split("/")[-2:]),
            "height": image["height"],
            "width": image["width"],
            "image_id": image["id"],
            "not_exhaustive_category_ids": image.get("not_exhaustive_category_ids", []),
            "neg_category_ids": image.get("neg_category_ids", []),
            "annotations": [_annotation(a, keys) for a in grouped[image["id"]]],
        }
        for image in images
    ]


def get_lvis_instances_meta(dataset_name: str) -> dict:
    """`thing_classes` and `class_image_count` of a registered LVIS data set, read from its json.

    Raises:
        ValueError: no data set with an LVIS json is registered under this name.
    """
    if "json_file" not in MetadataCatalog.get(dataset_name).as_dict():
        raise ValueError(f"No LVIS json is registered as '{dataset_name}'.")
    return _meta(_read(MetadataCatalog.get(dataset_name).json_file))


def _read(json_file: str) -> dict:
    with open(PathManager.get_local_path(json_file), encoding="utf-8") as f:
        return json.load(f)


def _meta(content: dict) -> dict:
    categories = sorted(content["categories"], key=lambda c: c["id"])
    counts = [{"id": c["id"], "image_count": c.get("image_count", 0)} for c in categories]
    names = [(c.get("synonyms") or [c["name"]])[0] for c in categories]
    return {"thing_classes": names, "class_image_count": counts}


def _annotation(annotation: dict, extra_keys: Sequence[str]) -> dict:
    polygons = annotation["segmentation"]
    valid = [p for p in polygons if len(p) >= 6 and len(p) % 2 == 0]
    assert len(valid) == len(polygons) > 0, (
        f"Annotation {annotation['id']} has no polygon, or one with < 3 points."
    )
    return {
        "bbox": annotation["bbox"],
        "bbox_mode": BoxMode.XYWH_ABS,
        "category_id": annotation["category_id"] - 1,
        "segmentation": polygons,
        **{key: annotation[key] for key in extra_keys},
    }
