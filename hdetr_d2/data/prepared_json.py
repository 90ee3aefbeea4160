"""A json as it is used: read, changed by options, checked, and its peculiarities reported."""

import difflib
import logging
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields

from hdetr_d2.data.coco_json import (
    CocoJson,
    MissingMasks,
    Problem,
    crowds_as_objects,
    evaluation_gaps,
    find_problems,
    read_coco_json,
    unused_classes,
    without_classes,
)
from hdetr_d2.data.file_sizes import with_file_sizes, without_unreadable
from hdetr_d2.data.present_files import check_files
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import EIGHT_BITS, ImageFormat
from hdetr_d2.pixels.image_format import image_format_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rules:
    """Options of a config's `data` section that change how a json is read.

    Attributes:
        crowds_as_objects: crowds are learned and evaluated as objects.
        sizes_from_files: image sizes are taken from the files.
        skip_classes: names of categories that are left out with their objects.
        on_missing_mask: "stop", or "skip" objects without a mask, if masks are learned.
        with_masks: whether masks are learned.
        image_format: how image files are read.
    """

    crowds_as_objects: bool = False
    sizes_from_files: bool = False
    skip_classes: tuple[str, ...] = ()
    on_missing_mask: str = "stop"
    with_masks: bool = False
    image_format: ImageFormat = field(default=EIGHT_BITS, compare=False)

    @staticmethod
    def of(data: Mapping, *, with_masks: bool) -> "Rules":
        """Reads them from a `data` section, which may lack some.

        Raises:
            UserError: an unknown policy.
        """
        given = {f.name: data[f.name] for f in fields(Rules) if data.get(f.name) is not None}
        given["skip_classes"] = tuple(given.get("skip_classes", ()))
        form = image_format_of(data)
        rules = Rules(**{**given, "with_masks": with_masks, "image_format": form})
        if rules.on_missing_mask not in ("stop", "skip"):
            raise UserError(f"data.on_missing_mask={rules.on_missing_mask} must be stop or skip")
        return rules

    @property
    def missing_masks(self) -> MissingMasks:
        if not self.with_masks:
            return "unneeded"
        return "skip" if self.on_missing_mask == "skip" else "stop"

    def changed_options(self) -> list[str]:
        """The options that differ from their defaults."""
        plain = Rules(with_masks=self.with_masks, image_format=self.image_format)
        names = [f.name for f in fields(self) if getattr(self, f.name) != getattr(plain, f.name)]
        return [f"data.{name}" for name in names]


@dataclass(frozen=True)
class Use:
    """The purpose of a data set.

    Attributes:
        split: "train" or "val".
        rules: how its json is read.
        on_bad_image: "stop" if an image is missing, or "skip".
    """

    split: str
    rules: Rules
    on_bad_image: str = "stop"

    @property
    def for_evaluation(self) -> bool:
        """Annotations may then be secret."""
        return self.split == "val"

    @property
    def option(self) -> str:
        """The prefix of its options' names."""
        return f"data.{self.split}"

    @property
    def bad_image_option(self) -> str:
        return f"dataloader.{'test' if self.for_evaluation else 'train'}.on_bad_image"


def prepared_json(path: str, folder: str, use: Use, *, is_lvis: bool = False) -> CocoJson:
    """Reads a json, stops at its first error, and logs all other problems by kind with a count.

    Args:
        path, folder: the json and the folder of its images.
        use: its purpose.
        is_lvis: whether it is LVIS's.

    Raises:
        UserError: it cannot be used.
    """
    coco = read_as_ruled(path, folder, use.rules, annotated=not use.for_evaluation)
    coco = without_unreadable(
        coco, folder, use.bad_image_option, use.on_bad_image, use.rules.image_format
    )
    problems = list(find_problems(coco, is_lvis=is_lvis, missing_masks=use.rules.missing_masks))
    if use.for_evaluation:
        problems += evaluation_gaps(coco, is_lvis=is_lvis)
    else:
        problems += unused_classes(coco)
    stop_at_error(problems)
    _log_by_kind(problems)
    if not os.path.isdir(folder):
        raise UserError(f"the image folder {folder} does not exist (for {coco.name})")
    files = [_file_of(image, folder, is_lvis) for image in coco.images]
    check_files(files, coco.name, use.bad_image_option, use.on_bad_image)
    return coco


def stop_at_error(problems: Iterable[Problem]) -> None:
    """
    Raises:
        UserError: the first problem that is an error, and the number of further ones.
    """
    if errors := [problem for problem in problems if problem.is_error]:
        count = len(errors) - 1
        more = f" (and {count} more; hdetr-d2 check-data lists them)" if count else ""
        raise UserError(errors[0].text + more)


def read_as_ruled(path: str, folder: str, rules: Rules, *, annotated: bool) -> CocoJson:
    """Reads a json and applies the rules; the changes are logged.

    Args:
        path, folder: the json and the folder of its images.
        annotated: whether it must have annotations.

    Raises:
        UserError: it cannot be read.
    """
    before = coco = read_coco_json(path, annotated=annotated)
    if rules.skip_classes:
        coco = without_classes(coco, rules.skip_classes)
        count = len(before.annotations) - len(coco.annotations)
        text = f"{count} annotations of {', '.join(rules.skip_classes)} are left out"
        logger.info(f"{coco.name}: {text} (data.skip_classes)")
    if rules.crowds_as_objects and (crowds := coco.crowds()):
        coco = crowds_as_objects(coco)
        text = f"{len(crowds)} crowds are read as objects (data.crowds_as_objects)"
        logger.info(f"{coco.name}: {text}")
    if rules.sizes_from_files:
        coco = with_file_sizes(coco, folder, rules.image_format)
    return coco


def check_skipped(rules: Rules, skipped: Collection[str], left: Collection[str]) -> None:
    """A name that occurs in no data set is a mistake; one that is missing in some of them is not.

    Args:
        rules: with the names of the classes to leave out.
        skipped: classes that were left out of some data set.
        left: the remaining classes.

    Raises:
        UserError: a name that occurs in no data set.
    """
    if unknown := [name for name in rules.skip_classes if name not in skipped]:
        names = sorted({*skipped, *left})
        near = difflib.get_close_matches(unknown[0], names, n=3, cutoff=0.5) or names[:3]
        raise UserError(
            f"data.skip_classes: no data set has a class {unknown[0]!r}; there are: "
            f"{', '.join(near)}"
        )


def _log_by_kind(problems: Iterable[Problem]) -> None:
    """One line for each kind of problem, with a count and the first example."""
    kinds: dict[str, list[str]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind, []).append(problem.text)
    for kind, texts in kinds.items():
        logger.warning(f"{len(texts)} x {kind}; the first: {texts[0]}")


def _file_of(image: dict, folder: str, is_lvis: bool) -> str:
    if not is_lvis:
        return os.path.join(folder, image["file_name"])
    # From the URL: folder and name are its last two parts, which Detectron2 appends as they are.
    return folder + "/".join(image["coco_url"].split("/")[-2:])
