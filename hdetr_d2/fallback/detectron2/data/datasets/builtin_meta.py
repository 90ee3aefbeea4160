"""The classes of COCO, for use without annotations."""

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
# COCO uses 80 of the ids 1..90; these were planned and never annotated.
_COCO_UNUSED_IDS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
# Classes without countable objects, in the panoptic data only.
_COCO_STUFF = {
    92: "banner", 93: "blanket", 95: "bridge", 100: "cardboard", 107: "counter", 109: "curtain",
    112: "door-stuff", 118: "floor-wood", 119: "flower", 122: "fruit", 125: "gravel",
    128: "house", 130: "light", 133: "mirror-stuff", 138: "net", 141: "pillow", 144: "platform",
    145: "playingfield", 147: "railroad", 148: "river", 149: "road", 151: "roof", 154: "sand",
    155: "sea", 156: "shelf", 159: "snow", 161: "stairs", 166: "tent", 168: "towel",
    171: "wall-brick", 175: "wall-stone", 176: "wall-tile", 177: "wall-wood", 178: "water-other",
    180: "window-blind", 181: "window-other", 184: "tree-merged", 185: "fence-merged",
    186: "ceiling-merged", 187: "sky-other-merged", 188: "cabinet-merged", 189: "table-merged",
    190: "floor-other-merged", 191: "pavement-merged", 192: "mountain-merged",
    193: "grass-merged", 194: "dirt-merged", 195: "paper-merged", 196: "food-other-merged",
    197: "building-other-merged", 198: "rock-merged", 199: "wall-other-merged",
    200: "rug-merged",
}
# fmt: on


def _get_coco_instances_meta() -> dict:
    """`thing_classes` and `thing_dataset_id_to_contiguous_id` of COCO's 80 classes."""
    ids = [i for i in range(1, 91) if i not in _COCO_UNUSED_IDS]
    return {
        "thing_classes": list(_COCO_NAMES),
        "thing_dataset_id_to_contiguous_id": {category_id: i for i, category_id in enumerate(ids)},
    }


def _get_coco_panoptic_meta() -> dict:
    """Things and stuff numbered together, each under both kinds of names, as in Detectron2."""
    things = _get_coco_instances_meta()
    names = [*things["thing_classes"], *_COCO_STUFF.values()]
    stuff = {category_id: i for i, category_id in enumerate(_COCO_STUFF, len(_COCO_NAMES))}
    return {
        **things,
        "thing_classes": names,
        "stuff_classes": names,
        "stuff_dataset_id_to_contiguous_id": stuff,
    }


def _get_builtin_metadata(dataset_name: str) -> dict:
    """The metadata of a family of data sets: "coco", or "coco_panoptic_standard"."""
    if dataset_name == "coco":
        return _get_coco_instances_meta()
    if dataset_name == "coco_panoptic_standard":
        return _get_coco_panoptic_meta()
    raise KeyError(
        f"'{dataset_name}' is not among the data sets that are known here: coco, "
        "coco_panoptic_standard."
    )
