"""Changes that options make to a json before it is used; each returns a new one."""

from collections.abc import Collection, Hashable, Mapping

from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.images import is_sized
from hdetr_d2.data.coco_json.segmentation import mask_fault


def crowds_as_objects(coco: CocoJson) -> CocoJson:
    """Turns crowds into ordinary annotations."""
    if not coco.crowds():
        return coco
    return coco.changed(annotations=[{**a, "iscrowd": 0} for a in coco.annotations])


def without_classes(coco: CocoJson, names: Collection[str]) -> CocoJson:
    """Removes the categories of these names and their objects."""
    ids = {c.get("id") for c in coco.categories if c.get("name") in names}
    if not ids:
        return coco
    return coco.changed(
        skipped_classes=tuple(n for n in names if n in coco.class_names()),
        categories=[c for c in coco.categories if c.get("id") not in ids],
        annotations=[a for a in coco.annotations if a.get("category_id") not in ids],
    )


def without_images(coco: CocoJson, images: Collection[dict]) -> CocoJson:
    """Removes these images and their annotations."""
    if not images:
        return coco
    ids = {image["id"] for image in images}
    return coco.changed(
        images=[image for image in coco.images if image.get("id") not in ids],
        annotations=[a for a in coco.annotations if a.get("image_id") not in ids],
    )


def with_sizes(coco: CocoJson, sizes: Mapping[Hashable, tuple[int, int]]) -> CocoJson:
    """Replaces the sizes of images by these (width, height), given by image id."""
    images = []
    for image in coco.images:
        width, height = sizes.get(image.get("id"), (image.get("width"), image.get("height")))
        images.append({**image, "width": width, "height": height})
    return coco if images == coco.images else coco.changed(images=images)


def with_sound_masks(coco: CocoJson, *, required: bool) -> CocoJson:
    """Removes segmentations from which no mask can be made; if masks are required, removes their
    objects, and objects without a segmentation. The json must have no errors.
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
