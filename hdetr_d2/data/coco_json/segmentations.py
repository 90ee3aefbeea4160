"""Problems of the segmentations of a json."""

from collections.abc import Iterator

from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.problem import Problem, describe
from hdetr_d2.data.coco_json.segmentation import has_shape, segmentation_fault


def segmentation_problems(
    coco: CocoJson, annotations: list[dict], images: dict
) -> Iterator[Problem]:
    for annotation in annotations:
        if not (segmentation := annotation.get("segmentation")):
            continue
        image = images[annotation["image_id"]]
        if fault := segmentation_fault(segmentation, [image["height"], image["width"]]):
            text = f"{describe(coco, annotation)} has a segmentation that is {fault}"
            yield Problem("broken segmentation", text)
        elif not has_shape(annotation):
            text = f"{describe(coco, annotation)} has no polygon of at least three points"
            yield Problem("left out: no polygon with an area", text, is_error=False)
