"""What training and validation data must share, and what they must not."""

from collections import Counter
from collections.abc import Iterator, Sequence

from hdetr_d2.data.coco_json import CocoJson, Problem
from hdetr_d2.data.image_files import ImageFile


def common_images(
    train: CocoJson, val: CocoJson, learned: Sequence[ImageFile], evaluated: Sequence[ImageFile]
) -> Iterator[Problem]:
    """Images that are both learned and evaluated: those with the same pixels, whatever their names.

    Names do not help, because exporters number the images of every split anew. Copies with another
    size or quality are not found.
    """
    names = {file.digest: file.path for file in learned if file.digest is not None}
    for file in evaluated:
        if file.digest in names:
            text = (
                f"{val.name}: image {file.image.get('id')} ({file.path}) has the pixels of "
                f"{names[file.digest]} of {train.name}: it is learned and evaluated"
            )
            yield Problem("images in training and validation", text, is_error=False)


def untrained_classes(train: CocoJson, val: CocoJson) -> Iterator[Problem]:
    """Classes that have objects to find, but none to learn from."""
    learned, evaluated = (
        Counter(a.get("category_id") for a in coco.annotations if not a.get("iscrowd", 0))
        for coco in (train, val)
    )
    for category in val.categories:
        if (count := evaluated[category.get("id")]) and not learned[category.get("id")]:
            text = (
                f"{train.name}: class {category.get('name')!r} has no object to learn from, and "
                f"{count} in {val.name}"
            )
            yield Problem("classes that are never trained", text, is_error=False)
