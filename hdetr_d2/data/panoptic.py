"""Panoptic data: a PNG for each image, whose colours are segments, and a json about these."""

import json
import os
from collections.abc import Mapping

import numpy as np
import pycocotools.mask as mask_utils
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode

from hdetr_d2.data.copy_paste import Sample
from hdetr_d2.data.images import read_image
from hdetr_d2.data.mapper import DetrMapper
from hdetr_d2.errors import UserError


def read_segment_ids(path: str | os.PathLike) -> np.ndarray:
    """The id of each pixel's segment, int64 [H, W], from a PNG: R + 256 G + 256^2 B; 0 is none.

    Raises:
        BadImageError: the file cannot be read.
    """
    return read_image(path).astype(np.int64) @ np.array([1, 256, 256**2])


class PanopticMapper(DetrMapper):
    """Makes instances with masks of the segments of an image, of things and of stuff, as DETR
    learns them.
    """

    def _read(self, dataset_dict: dict) -> tuple[Sample, int]:
        if not self.is_train:
            return super()._read(dataset_dict)
        ids = read_segment_ids(dataset_dict["pan_seg_file_name"])
        annotations = [_annotation(ids, segment) for segment in dataset_dict["segments_info"]]
        return super()._read({**dataset_dict, "annotations": annotations})


def _annotation(ids: np.ndarray, segment: Mapping) -> dict:
    """Detectron2's annotation of one segment, with the tight box of its pixels."""
    rle = mask_utils.encode(np.asfortranarray(ids == segment["id"], dtype=np.uint8))
    return {
        "bbox": mask_utils.toBbox(rle).tolist(),
        "bbox_mode": BoxMode.XYWH_ABS,
        "category_id": segment["category_id"],
        "iscrowd": segment.get("iscrowd", 0),
        "segmentation": rle,
    }


def register_panoptic(name: str, json_file: str, image_root: str, panoptic_root: str) -> None:
    """Registers COCO's panoptic format under `name`; all categories are classes, in the order of
    their ids, things and stuff together. Metadata have the names that Detectron2's evaluator asks
    for. The same data again change nothing.

    Raises:
        UserError: the json cannot be read or is not of that format, or another data set has the
            name.
    """
    if name in DatasetCatalog.list():
        if MetadataCatalog.get(name).get("panoptic_json") != json_file:
            raise UserError(f"the name {name!r} is taken; give {json_file} another one")
        return
    content = _read_json(json_file)
    categories = sorted(content["categories"], key=lambda category: category["id"])
    labels = {category["id"]: label for label, category in enumerate(categories)}
    things = {category["id"] for category in categories if category["isthing"]}
    names = [category["name"] for category in categories]
    entries = _entries(content, image_root, panoptic_root, labels, things)
    DatasetCatalog.register(name, lambda: entries)
    MetadataCatalog.get(name).set(
        thing_classes=names,
        stuff_classes=names,
        thing_dataset_id_to_contiguous_id={i: labels[i] for i in labels if i in things},
        stuff_dataset_id_to_contiguous_id={i: labels[i] for i in labels if i not in things},
        panoptic_json=json_file,
        panoptic_root=panoptic_root,
        image_root=image_root,
        evaluator_type="coco_panoptic_seg",
        ignore_label=255,
        label_divisor=1000,
    )


def _read_json(path: str) -> dict:
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a panoptic json: {error}") from None
    lists = ("images", "annotations", "categories")
    if not isinstance(content, dict) or any(not isinstance(content.get(k), list) for k in lists):
        raise UserError(f"{path} is not a panoptic json: it lacks one of {', '.join(lists)}")
    if any("isthing" not in category for category in content["categories"]):
        raise UserError(f"{path} is not a panoptic json: a category does not say 'isthing'")
    if any("segments_info" not in annotation for annotation in content["annotations"]):
        raise UserError(f"{path} is not a panoptic json: an annotation has no 'segments_info'")
    return content


def _entries(
    content: dict,
    image_root: str,
    panoptic_root: str,
    labels: Mapping[int, int],
    things: set[int],
) -> list[dict]:
    """Detectron2's entries, with the segments' boxes as annotations."""
    images = {image["id"]: image for image in content["images"]}
    entries = []
    for annotation in content["annotations"]:
        image = images[annotation["image_id"]]
        segments = [_segment(given, labels, things) for given in annotation["segments_info"]]
        entries.append(
            {
                "file_name": os.path.join(image_root, image["file_name"]),
                "image_id": image["id"],
                "height": image["height"],
                "width": image["width"],
                "pan_seg_file_name": os.path.join(panoptic_root, annotation["file_name"]),
                "segments_info": segments,
                "annotations": [{**s, "bbox_mode": BoxMode.XYWH_ABS} for s in segments],
            }
        )
    return entries


def _segment(given: Mapping, labels: Mapping[int, int], things: set[int]) -> dict:
    category = given["category_id"]
    if category not in labels:
        raise UserError(f"segment {given['id']} has the unknown category id {category}")
    return {**given, "category_id": labels[category], "isthing": category in things}
