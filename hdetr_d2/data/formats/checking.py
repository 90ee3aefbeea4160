"""Checks a data set before it is converted: everything a training would stop at, and the image
sizes, on which the numbers of other formats depend.
"""

from hdetr_d2.data.coco_json import (
    CocoJson,
    category_mismatch,
    find_problems,
    labels_of,
    without_images,
)
from hdetr_d2.data.file_sizes import unreadable_images, unreadable_sentence
from hdetr_d2.data.formats.content import Found, Part
from hdetr_d2.data.formats.pictures import sizes
from hdetr_d2.data.prepared_json import stop_at_error
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import ImageFormat
from hdetr_d2.pixels.images import size_fault


def check_found(found: Found, image_format: ImageFormat) -> None:
    """Checks all entries and files of a data set.

    Args:
        image_format: of the image files.

    Raises:
        UserError: an entry is invalid, an image cannot be read or has another size than stated, or
            the splits have different classes.
    """
    cocos = {split: _coco(split, found) for split in found.parts}
    for split, coco in cocos.items():
        part = found.parts[split]
        # Their files are reported below.
        unreadable = unreadable_images(coco, str(part.root), image_format)
        stop_at_error(find_problems(without_images(coco, unreadable)))
        _check_files(part, coco.name, image_format)
    first, *others = cocos
    for other in others:
        labels = labels_of(cocos[first]), labels_of(cocos[other])
        if fault := category_mismatch(*labels, (first, other)):
            raise UserError(f"{found.folder}: the splits {first} and {other} {fault}")


def _coco(split: str, found: Found) -> CocoJson:
    content = found.parts[split].content
    lists = content["images"], content["annotations"], content["categories"]
    return CocoJson(found.called(split), *lists)


def _check_files(part: Part, source: str, image_format: ImageFormat) -> None:
    found = sizes(part.files, image_format)
    if unreadable := [str(file) for file, size in found.items() if size is None]:
        raise UserError(unreadable_sentence(unreadable, len(found), source, image_format))
    for file, image in zip(part.files, part.content["images"], strict=True):
        if fault := size_fault(file, found[file] or (0, 0), (image["width"], image["height"])):
            raise UserError(fault)
