"""The sizes of a json's images according to their files."""

import logging
import os
from collections.abc import Iterable, Sequence

from hdetr_d2.data.coco_json import CocoJson, with_sizes, without_images
from hdetr_d2.data.coco_json.problem import first_of
from hdetr_d2.data.present_files import sizes_of, skip_or_stop
from hdetr_d2.pixels import EIGHT_BITS, BadImageError, ImageFormat
from hdetr_d2.utils.git_lfs import why_unreadable

logger = logging.getLogger(__name__)


def with_file_sizes(
    coco: CocoJson, folder: str, image_format: ImageFormat = EIGHT_BITS
) -> CocoJson:
    """Replaces the stated sizes by those of the files; the number of differences is logged.

    Args:
        folder: of the images.
        image_format: how they are read.
    """
    found = _file_sizes(coco.images, folder, image_format)
    sizes = {image["id"]: size for image, size in found if size}
    odd = [i for i, size in found if size not in (None, (i.get("width"), i.get("height")))]
    if odd:
        text = f"the sizes of {len(odd)} of {len(found)} images are those of their files"
        logger.info(f"{coco.name}: {text} (data.sizes_from_files)")
    return with_sizes(coco, sizes)


def unreadable_images(
    coco: CocoJson, folder: str, image_format: ImageFormat = EIGHT_BITS
) -> list[dict]:
    """The images whose size is given neither by the json nor by a readable file: formats other than
    COCO state no sizes, and their readers had to leave out the objects on such images.

    Args:
        folder: of the images.
        image_format: how they are read.
    """
    unsized = [image for image in coco.images if not {"width", "height"} & image.keys()]
    return [image for image, size in _file_sizes(unsized, folder, image_format) if size is None]


def without_unreadable(
    coco: CocoJson,
    folder: str,
    option: str,
    on_bad_image: str,
    image_format: ImageFormat = EIGHT_BITS,
) -> CocoJson:
    """Removes the `unreadable_images`, which are reported.

    Args:
        folder: of the images.
        image_format: how they are read.
        option, on_bad_image: see `check_files`.

    Raises:
        UserError: there are some and the policy is to stop, or all are unreadable.
    """
    if not (unreadable := unreadable_images(coco, folder, image_format)):
        return coco
    files = [os.path.join(folder, image["file_name"]) for image in unreadable]
    total = len(coco.images)
    text = unreadable_sentence(files, total, coco.name, image_format)
    skip_or_stop(text, option, on_bad_image, is_all=len(files) == total)
    return without_images(coco, unreadable)


def unreadable_sentence(
    files: Sequence[str], total: int, source: str, image_format: ImageFormat = EIGHT_BITS
) -> str:
    """Says that these of `total` images of a data set cannot be read, and why the first one cannot.

    Args:
        source: how messages refer to the data set.
        image_format: how they are read.
    """
    text = f"{len(files)} of {total} images of {source} cannot be read: {first_of(files)}"
    reason = why_unreadable(files[0], "") or _fault(files[0], image_format)
    return f"{text} ({'the first: ' if files[1:] else ''}{reason})" if reason else text


def _fault(file: str, image_format: ImageFormat) -> str:
    """What is wrong with a file, without its name; "" if nothing is."""
    try:
        image_format.read(file)
    except BadImageError as error:
        fault = str(error).removeprefix(f"{file} ")
        known = fault.removeprefix("cannot be read as an image: ")
        return known if known != fault else f"it {fault}"
    return ""


def _file_sizes(
    images: Iterable[dict], folder: str, image_format: ImageFormat
) -> list[tuple[dict, tuple[int, int] | None]]:
    """Images that have an id and a name, with the sizes of their files."""
    named = [i for i in images if "id" in i and isinstance(i.get("file_name"), str)]
    found = sizes_of([os.path.join(folder, image["file_name"]) for image in named], image_format)
    return [*zip(named, found, strict=True)]
