"""Converts Detectron2's dicts to a COCO json, on which data sets of any origin are evaluated."""

from typing import Any

import pycocotools.mask as mask_utils
from detectron2.structures import BoxMode, PolygonMasks

from ..catalog import DatasetCatalog, MetadataCatalog


def convert_to_coco_dict(dataset_name: str) -> dict[str, Any]:
    """The content of a COCO json for a registered data set; without any annotations it has no
    `annotations`.

    Args:
        dataset_name: its metadata must have `thing_classes`; category ids are those of
            `thing_dataset_id_to_contiguous_id`, or without it 0..K-1.
    """
    entries = DatasetCatalog.get(dataset_name)  # first, because reading a json sets metadata
    metadata = MetadataCatalog.get(dataset_name)
    known = metadata.get("thing_dataset_id_to_contiguous_id", {})
    ids = {label: category_id for category_id, label in known.items()}
    images, annotations = [], []
    for number, entry in enumerate(entries):
        image_id = entry.get("image_id", number)
        size = {key: int(entry[key]) for key in ("width", "height")}
        images.append({"id": image_id, **size, "file_name": str(entry["file_name"])})
        annotations += [{"image_id": image_id, **_shape(a)} for a in entry.get("annotations", [])]
    for number, annotation in enumerate(annotations, start=1):
        label = annotation["category_id"]
        annotation.update(id=number, category_id=ids.get(label, label))
    names = enumerate(metadata.thing_classes)
    categories = [{"id": ids.get(label, label), "name": name} for label, name in names]
    content: dict[str, Any] = {"info": {}, "images": images, "categories": categories}
    return {**content, "annotations": annotations} if annotations else content


def _shape(annotation: dict) -> dict[str, Any]:
    """An object in COCO's form, apart from its ids: the box is xywh, the area that of the mask, or
    without one that of the box.
    """
    numbers = [float(value) for value in annotation["bbox"]]
    x, y, w, h = BoxMode.convert(numbers, annotation["bbox_mode"], BoxMode.XYWH_ABS)
    found = {
        "category_id": int(annotation["category_id"]),
        "bbox": [x, y, w, h],
        "area": w * h,
        "iscrowd": int(annotation.get("iscrowd", 0)),
    }
    if not (segmentation := annotation.get("segmentation")):
        return found
    if isinstance(segmentation, list):
        area = PolygonMasks([segmentation]).area()[0]
    else:
        area = mask_utils.area(segmentation)
    return {**found, "area": float(area), "segmentation": segmentation}
