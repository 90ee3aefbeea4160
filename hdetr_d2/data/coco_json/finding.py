"""All problems of a json."""

from collections.abc import Iterator

from hdetr_d2.data.coco_json.annotations import annotation_problems
from hdetr_d2.data.coco_json.boxes import box_problems
from hdetr_d2.data.coco_json.categories import category_problems
from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.crowds import crowd_problems
from hdetr_d2.data.coco_json.duplicates import duplicate_problems
from hdetr_d2.data.coco_json.images import image_problems, is_sized
from hdetr_d2.data.coco_json.keys import key_problems
from hdetr_d2.data.coco_json.problem import Problem
from hdetr_d2.data.coco_json.segmentations import MissingMasks, segmentation_problems


def find_problems(
    coco: CocoJson, *, is_lvis: bool = False, missing_masks: MissingMasks = "unneeded"
) -> Iterator[Problem]:
    """Everything that is wrong within the json; image files are not opened.

    Args:
        coco: the json.
        is_lvis: images have `coco_url` instead of `file_name`, and annotations no `iscrowd`.
        missing_masks: "unneeded" if only boxes are learned; otherwise an object without a mask is
            an error ("stop") or reported as left out ("skip").
    """
    yield from key_problems(coco)
    yield from image_problems(coco, "coco_url" if is_lvis else "file_name")
    yield from category_problems(coco)
    yield from annotation_problems(coco)
    yield from crowd_problems(coco)
    images = {i["id"]: i for i in coco.images if is_sized(i) and "id" in i}
    complete = [a for a in coco.annotations if "bbox" in a and a.get("image_id") in images]
    of_boxes = list(box_problems(coco, complete, images))
    yield from of_boxes
    if not any(problem.is_error for problem in of_boxes):  # all are four numbers
        yield from duplicate_problems(coco, complete, images)
        yield from segmentation_problems(coco, complete, images, missing_masks)
