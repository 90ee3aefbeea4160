"""What options make of a json before it is used: each gives another one and leaves the old."""

from collections.abc import Collection, Hashable, Mapping

from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.images import is_sized
from hdetr_d2.data.coco_json.segmentation import mask_fault


def crowds_as_objects(coco: CocoJson) -> CocoJson:
    """No annotation is a crowd."""
    if not coco.crowds():
        return coco
    return coco.changed(annotations=[{**a, "iscrowd": 0} for a in coco.annotations])


def without_classes(coco: CocoJson, names: Collection[str]) -> CocoJson:
    """Without the categories of these names and their objects."""
    ids = {c.get("id") for c in coco.categories if c.get("name") in names}
    if not ids:
        return coco
    return coco.changed(
        skipped_classes=tuple(n for n in names if n in coco.class_names()),
        categories=[c for c in coco.categories if c.get("id") not in ids],
        annotations=[a for a in coco.annotations if a.get("category_id") not in ids],
    )


def without_images(coco: CocoJson, images: Collection[dict]) -> CocoJson:
    """Without these of its images and what is on them."""
    if not images:
        return coco
    ids = {image["id"] for image in images}
    return coco.changed(
        images=[image for image in coco.images if image.get("id") not in ids],
        annotations=[a for a in coco.annotations if a.get("image_id") not in ids],
    )


def with_sizes(coco: CocoJson, sizes: Mapping[Hashable, tuple[int, int]]) -> CocoJson:
    """With these (width, height) of images, by their ids, in the place of the stated ones."""
    images = []
    for image in coco.images:
        width, height = sizes.get(image.get("id"), (image.get("width"), image.get("height")))
        images.append({**image, "width": width, "height": height})
    return coco if images == coco.images else coco.changed(images=images)


def with_sound_masks(coco: CocoJson, *, required: bool) -> CocoJson:
    """Without the segmentations that no mask can be made of; where masks are required, without
    their objects, and without those that have none. To be used on a json without errors.
    """
    images = {image["id"]: image for image in coco.images if is_sized(image)}
    annotations, count = [], 0
    for annotation in coco.annotations:
        image = images[annotation["image_id"]]
        if not mask_fault(annotation, image["width"], image["height"]):
            annotations.append(annotation)
        elif not required:
            kept = {k: v for k, v in annotation.items() if k != "segmentation"}
            count += bool(annotation.get("segmentation"))
            annotations.append(kept)
        else:
            count += 1
    return coco.changed(annotations=annotations) if count else coco
