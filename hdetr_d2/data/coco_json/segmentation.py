"""Which segmentations are none that a mask can be made of."""


def has_shape(annotation: dict) -> bool:
    """False if all polygons have fewer than three points: Detectron2 leaves such an object out."""
    segmentation = annotation.get("segmentation")
    if not segmentation or not isinstance(segmentation, list):
        return True
    return any(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in segmentation)


def segmentation_fault(segmentation: object, size: list) -> str | None:
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        if not isinstance(counts, list | str) or not isinstance(segmentation.get("size"), list):
            return "an RLE without counts or size"
        if segmentation["size"] != size:
            return f"an RLE of size {segmentation['size']} on an image of [height, width] {size}"
        return None
    if not isinstance(segmentation, list) or not all(isinstance(p, list) for p in segmentation):
        return "neither a list of polygons nor an RLE"
    return None
