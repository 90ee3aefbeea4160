"""The classes of COCO, for those who have a trained model but no annotations."""

from detectron2._subset import absent

__getattr__ = absent(__name__)

# fmt: off
_COCO_NAMES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella",
    "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange",
    "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant",
    "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)
# COCO names 80 of the ids 1..90; these were planned and never annotated.
_COCO_UNUSED_IDS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
# fmt: on


def _get_coco_instances_meta() -> dict:
    """`thing_classes` and `thing_dataset_id_to_contiguous_id` of COCO's 80 classes."""
    ids = [i for i in range(1, 91) if i not in _COCO_UNUSED_IDS]
    return {
        "thing_classes": list(_COCO_NAMES),
        "thing_dataset_id_to_contiguous_id": {category_id: i for i, category_id in enumerate(ids)},
    }


def _get_builtin_metadata(dataset_name: str) -> dict:
    """The metadata of a family of data sets; "coco" is the only one here."""
    if dataset_name != "coco":
        raise KeyError(f"'{dataset_name}' is not among the data sets that are known here: coco.")
    return _get_coco_instances_meta()
