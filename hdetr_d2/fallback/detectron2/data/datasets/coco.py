"""Data sets in the format of COCO's instance annotations."""

import json
import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import pycocotools.mask as mask_utils
from detectron2._subset import absent
from detectron2.structures import BoxMode
from detectron2.utils.file_io import PathManager

from ..catalog import DatasetCatalog, MetadataCatalog
from ._coco_dict import convert_to_coco_dict

__all__ = ["convert_to_coco_dict", "load_coco_json", "register_coco_instances"]
__getattr__ = absent(__name__)

logger = logging.getLogger(__name__)


def register_coco_instances(
    name: str, metadata: dict, json_file: str | os.PathLike, image_root: str | os.PathLike
) -> None:
    """Registers a COCO json under `name`; nothing is read before the data set is requested.

    Args:
        name: used in configs. A name that is already registered keeps its loader.
        metadata: additional attributes for `MetadataCatalog.get(name)`.
        json_file: the annotations.
        image_root: the folder that the `file_name`s of the json are relative to.

    Raises:
        AssertionError: the metadata of `name` is known and differs.
    """
    if name not in DatasetCatalog:
        DatasetCatalog.register(name, lambda: load_coco_json(json_file, image_root, name))
    known = {"json_file": json_file, "image_root": image_root, "evaluator_type": "coco"}
    MetadataCatalog.get(name).set(**known, **metadata)


def load_coco_json(
    json_file: str | os.PathLike,
    image_root: str | os.PathLike,
    dataset_name: str | None = None,
    extra_annotation_keys: Sequence[str] | None = None,
) -> list[dict]:
    """Reads COCO instance annotations; images are sorted by id, with or without annotations.

    Args:
        json_file: the annotations.
        image_root: prepended to every `file_name`.
        dataset_name: if given, category ids become 0..K-1 in the order of the ids in the json, and
            `thing_classes` and `thing_dataset_id_to_contiguous_id` are added to its metadata;
            otherwise category ids are unchanged.
        extra_annotation_keys: additional keys of annotations to keep.

    Returns:
        One dict per image: file_name, height, width, image_id, annotations (each with bbox,
        bbox_mode XYWH_ABS, category_id and, if the json has them, iscrowd and segmentation:
        polygons, or a compressed RLE).

    Raises:
        AssertionError: annotation ids are not unique, or an annotation has `ignore`.
        KeyError: a category id is missing from `categories`.
        ValueError: no categories, or an annotation with an empty box.
    """
    with open(PathManager.get_local_path(os.fspath(json_file)), encoding="utf-8") as f:
        content = json.load(f)
    images = {image["id"]: image for image in content.get("images", [])}
    annotations = _by_image(content.get("annotations", []), images, json_file)
    ids = None if dataset_name is None else _contiguous_ids(content, dataset_name, json_file)
    reader = _AnnotationReader(
        ids, ["iscrowd", "bbox", "category_id", *(extra_annotation_keys or [])]
    )
    dataset_dicts = [
        {
            "file_name": os.path.join(image_root, image["file_name"]),
            "height": image["height"],
            "width": image["width"],
            "image_id": image_id,
            "annotations": reader.read_all(annotations[image_id]),
        }
        for image_id, image in sorted(images.items())
    ]
    logger.info(f"Read {len(dataset_dicts)} images from {json_file}")
    if reader.without_shape:
        logger.warning(
            f"{reader.without_shape} annotations of {json_file} are left out: none of their "
            "polygons has 3 points."
        )
    return dataset_dicts


def _by_image(
    annotations: list[dict], images: dict[Any, dict], json_file: str | os.PathLike
) -> dict[Any, list[dict]]:
    known = [a for a in annotations if a["image_id"] in images]
    if len(known) < len(annotations):
        logger.warning(
            f"{len(annotations) - len(known)} annotations of {json_file} are left out: their image "
            "is not in the file."
        )
    assert len({a["id"] for a in known}) == len(known), (
        f"Two annotations of '{json_file}' have the same id: ids must be unique."
    )
    grouped = defaultdict(list)
    for annotation in known:
        grouped[annotation["image_id"]].append(annotation)
    return grouped


def _contiguous_ids(
    content: dict, dataset_name: str, json_file: str | os.PathLike
) -> dict[int, int]:
    names = {c["id"]: c["name"] for c in content.get("categories", [])}
    if not names:
        raise ValueError(f"'{json_file}' has no categories.")
    ids = sorted(names)
    # COCO's own ids have well-known gaps.
    if "coco" not in dataset_name and ids != list(range(1, len(ids) + 1)):
        logger.warning(
            f"Category ids of '{dataset_name}' are not 1, 2, ..., {len(ids)}: they are numbered "
            "anew in the order of the ids."
        )
    contiguous = {category_id: i for i, category_id in enumerate(ids)}
    MetadataCatalog.get(dataset_name).set(
        thing_classes=[names[i] for i in ids], thing_dataset_id_to_contiguous_id=contiguous
    )
    return contiguous


class _AnnotationReader:
    """Converts annotations of the json to those of a dataset dict.

    Attributes:
        without_shape: number of annotations left out because none of their polygons had an area.
    """

    def __init__(self, ids: dict[int, int] | None, keys: Iterable[str]) -> None:
        self.ids = ids
        self.keys = list(keys)
        self.without_shape = 0

    def read_all(self, annotations: Iterable[dict]) -> list[dict]:
        return [found for a in annotations if (found := self.read(a)) is not None]

    def read(self, annotation: dict) -> dict | None:
        where = f"an annotation of image {annotation['image_id']}"
        assert not annotation.get("ignore", 0), f'"ignore" is not supported: {where} has it.'
        found = {key: annotation[key] for key in self.keys if key in annotation}
        if "bbox" in found and len(found["bbox"]) == 0:
            raise ValueError(f"{where} has an empty 'bbox'.")
        if segmentation := annotation.get("segmentation"):
            shape = _shape(segmentation)
            if not shape:
                self.without_shape += 1
                return None
            found["segmentation"] = shape
        found["bbox_mode"] = BoxMode.XYWH_ABS
        if self.ids is not None:
            if found["category_id"] not in self.ids:
                raise KeyError(
                    f"{where} has category_id={found['category_id']}, which is not among the "
                    "categories of the json."
                )
            found["category_id"] = self.ids[found["category_id"]]
        return found


def _shape(segmentation: list | dict) -> list | dict:
    """Valid polygons (an empty list if there are none), or a compressed RLE."""
    if isinstance(segmentation, list):
        return [p for p in segmentation if len(p) >= 6 and len(p) % 2 == 0]
    if isinstance(segmentation["counts"], list):
        return mask_utils.frPyObjects(segmentation, *segmentation["size"])
    return segmentation
