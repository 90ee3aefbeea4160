"""Panoptic data: a PNG per image, whose colours are segments, and a json that describes them."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pycocotools.mask as mask_utils
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode

from hdetr_d2.data.mapper import DetrMapper
from hdetr_d2.data.panoptic_json import read_panoptic_json
from hdetr_d2.data.sample import Sample
from hdetr_d2.data.segment_ids import SegmentIds, few, read_segment_ids
from hdetr_d2.errors import UserError
from hdetr_d2.pixels.images import BadImageError

logger = logging.getLogger(__name__)

LOOKED_INTO = 100
"""Number of PNGs, spread over the data set, that are compared with the json at the start."""


class PanopticMapper(DetrMapper):
    """Creates instances with masks from the segments of an image, things and stuff, as DETR learns
    them: crowds are segments too.
    """

    def _read(self, dataset_dict: dict) -> tuple[Sample, int]:
        if not self.is_train:
            return super()._read(dataset_dict)
        pixels = segment_ids(dataset_dict).pixels
        annotations = [_annotation(pixels, segment) for segment in dataset_dict["segments_info"]]
        return super()._read({**dataset_dict, "annotations": annotations})


def segment_ids(entry: Mapping) -> SegmentIds:
    """The segment ids of an entry of the data set; see `read_segment_ids`."""
    size = (entry["height"], entry["width"])
    return read_segment_ids(entry["pan_seg_file_name"], entry["segments_info"], size)


def _annotation(pixels: np.ndarray, segment: Mapping) -> dict:
    """Detectron2's annotation of one segment, with the tight box of its pixels."""
    rle = mask_utils.encode(np.asfortranarray(pixels == segment["id"], dtype=np.uint8))
    return {
        "bbox": mask_utils.toBbox(rle).tolist(),
        "bbox_mode": BoxMode.XYWH_ABS,
        "category_id": segment["category_id"],
        "iscrowd": 0,
        "segmentation": rle,
    }


def register_panoptic(name: str, json_file: str, image_root: str, panoptic_root: str) -> None:
    """Registers COCO's panoptic format under `name`. All categories are classes, things and stuff
    together, in the order of their ids. Metadata use the names that Detectron2's evaluator expects.
    Registering the same data again has no effect.

    Raises:
        UserError: the json cannot be read or has another format, another data set has the name, or
            none of the inspected PNGs agrees with the json.
    """
    if name in DatasetCatalog.list():
        if MetadataCatalog.get(name).get("panoptic_json") != json_file:
            raise UserError(f"the name {name!r} is taken; give {json_file} another one")
        return
    content = read_panoptic_json(json_file)
    categories = sorted(content["categories"], key=lambda category: category["id"])
    labels = {category["id"]: label for label, category in enumerate(categories)}
    things = {category["id"] for category in categories if category["isthing"]}
    names = [category["name"] for category in categories]
    entries = list(_entries(content, image_root, panoptic_root, labels, things))
    _compare(json_file, entries)
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


def _entries(
    content: Mapping[str, list[dict]],
    image_root: str,
    panoptic_root: str,
    labels: Mapping[int, int],
    things: set[int],
) -> Iterator[dict]:
    """Detectron2's entries, with the segments' boxes as annotations."""
    images = {image["id"]: image for image in content["images"]}
    for annotation in content["annotations"]:
        image = images[annotation["image_id"]]
        segments = [
            {
                **given,
                "category_id": labels[given["category_id"]],
                "isthing": given["category_id"] in things,
            }
            for given in annotation["segments_info"]
        ]
        yield {
            "file_name": os.path.join(image_root, image["file_name"]),
            "image_id": image["id"],
            "height": image["height"],
            "width": image["width"],
            "pan_seg_file_name": os.path.join(panoptic_root, annotation["file_name"]),
            "segments_info": segments,
            "annotations": [{**s, "bbox_mode": BoxMode.XYWH_ABS, "iscrowd": 0} for s in segments],
        }


def _compare(json_file: str, entries: Sequence[dict]) -> None:
    """Inspects some PNGs: raises UserError if none is usable, otherwise logs what does not
    agree.
    """
    some = entries[:: -(-len(entries) // LOOKED_INTO) or 1]
    faults, partial = [], []
    for entry in some:
        try:
            _, unlisted, absent = segment_ids(entry)
        except BadImageError as error:
            faults.append(f"image {entry['image_id']}: {error}")
            continue
        where = f"image {entry['image_id']}: {entry['pan_seg_file_name']}"
        if unlisted:
            partial.append(f"{where} has ids that are not listed, as no segment: {few(unlisted)}")
        elif absent:
            partial.append(f"{where} has no pixel of the segments {few(absent)}")
    if some and len(faults) == len(some):
        raise UserError(f"{json_file}: no PNG of {len(some)} looked into can be used: {faults[0]}")
    for texts, what in ((faults, "cannot be used"), (partial, "agree with the json only in part")):
        if texts:
            logger.warning(
                f"{json_file}: {len(texts)} PNGs of {len(some)} that were looked into {what}; the "
                f"first: {texts[0]}"
            )
