"""A full check of a data set: everything that registration checks, plus every image file and
class.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table
from torchvision.transforms import v2

from hdetr_d2.data.coco_json import (
    CocoJson,
    Problem,
    category_mismatch,
    describe_image,
    evaluation_gaps,
    find_problems,
    labels_of,
    unused_classes,
    without_images,
)
from hdetr_d2.data.file_sizes import unreadable_images
from hdetr_d2.data.image_files import ImageFile, file_problems, look_at_images, repeated_pixels
from hdetr_d2.data.object_sizes import count_sizes, object_areas, resized_objects
from hdetr_d2.data.prepared_json import Rules, read_as_ruled
from hdetr_d2.data.resized import Resized
from hdetr_d2.data.splits import common_images, untrained_classes
from hdetr_d2.data.survey import survey_problems


@dataclass(frozen=True)
class Report:
    """The result of `check_data`: problems, (name, value) rows and (class, objects, images) rows;
    and the json and image files that were checked.
    """

    problems: list[Problem]
    summary: list[tuple[str, str]]
    classes: list[tuple[str, int, int]]
    coco: CocoJson
    files: Sequence[ImageFile]

    @property
    def num_errors(self) -> int:
        return sum(problem.is_error for problem in self.problems)


def check_data(
    json_file: str,
    images: str,
    *,
    num_queries: int = 300,
    top_k: int = 100,
    num_threads: int = 4,
    train: Report | None = None,
    rules: Rules | None = None,
    transform: v2.Transform | None = None,
) -> Report:
    """Checks a COCO json and its images; every file is decoded.

    Args:
        json_file, images: the data set.
        num_queries: of the model: images with more objects cannot be learned completely.
        top_k: detections kept per image: more objects than that cannot all be found.
        num_threads: threads that decode images.
        train: the report of the training data, if these are the validation data: both must have the
            same categories, and validation data may lack annotations.
        rules: how a config reads the json; None for the defaults.
        transform: what a recipe does to images: objects are also measured after it.

    Raises:
        UserError: the json cannot be read at all.
    """
    rules = rules or Rules()
    coco = read_as_ruled(json_file, images, rules, annotated=train is None)
    files = look_at_images(coco, images, num_threads, rules.image_format)
    coco = without_images(coco, unreadable_images(coco, images, rules.image_format))
    resized = None if transform is None else resized_objects(coco, transform)
    problems = [
        *_no_images(coco),
        *(_no_objects(coco) if train is None else ()),
        *find_problems(coco, missing_masks=rules.missing_masks),
        *(unused_classes(coco) if train is None else _split_problems(train, coco, files)),
        *evaluation_gaps(coco),
        *file_problems(coco, files),
        *repeated_pixels(coco, files),
        *survey_problems(coco.name, [file.path for file in files], rules.image_format),
        *_count_problems(coco, num_queries, top_k),
        *_lost_objects(coco, resized),
    ]
    summary = _summary(coco, problems, resized)
    return Report(problems, summary, _class_rows(coco), coco, files)


def _split_problems(train: Report, val: CocoJson, files: Sequence[ImageFile]) -> Iterator[Problem]:
    yield from _category_problems(train.coco, val)
    yield from untrained_classes(train.coco, val)
    yield from common_images(train.coco, val, train.files, files)


def _lost_objects(coco: CocoJson, resized: Resized | None) -> Iterator[Problem]:
    if resized is not None and (lost := resized.describe_lost()):
        kind = "objects that the resize makes smaller than a pixel"
        yield Problem(kind, f"{coco.name}: {lost}", is_error=False)


def tables(report: Report, title: str) -> list[Table]:
    """The report's numbers as tables for a terminal."""
    summary = Table("", "count", title=title)
    for row in report.summary:
        summary.add_row(*row)
    classes = Table("class", "objects", "images", title="Classes")
    for name, objects, images in report.classes:
        classes.add_row(name, str(objects), str(images))
    return [summary, classes]


def _objects(coco: CocoJson) -> list[dict]:
    return [a for a in coco.annotations if not a.get("iscrowd", 0)]


def _no_images(coco: CocoJson) -> Iterator[Problem]:
    if not coco.images:
        yield Problem("no images", f"{coco.name} has no images")


def _no_objects(coco: CocoJson) -> Iterator[Problem]:
    """A training on them would stop."""
    if coco.images and not _objects(coco):
        yield Problem("no objects", f"{coco.name} has no object to learn from")


def _category_problems(train: CocoJson, val: CocoJson) -> Iterator[Problem]:
    if fault := category_mismatch(labels_of(train), labels_of(val)):
        yield Problem("other categories", f"{train.name} and {val.name} {fault}")


def _count_problems(coco: CocoJson, num_queries: int, top_k: int) -> Iterator[Problem]:
    counts = Counter(a.get("image_id") for a in _objects(coco))
    for image in coco.images:
        count, which = counts[image.get("id")], f"{coco.name}: {describe_image(image)}"
        for limit, name in ((num_queries, "queries"), (top_k, "detections kept of an image")):
            if count > limit:
                text = f"{which} has {count} objects, but there are only {limit} {name}"
                yield Problem(f"more objects than {name}", text, is_error=False)
        if not count:
            yield Problem("image without objects", f"{which} has no object", is_error=False)


def _summary(
    coco: CocoJson, problems: list[Problem], resized: Resized | None
) -> list[tuple[str, str]]:
    objects = _objects(coco)
    per_image = Counter(a.get("image_id") for a in objects)
    counts = [per_image[image.get("id")] for image in coco.images]
    num_errors = sum(problem.is_error for problem in problems)
    kinds = Counter(problem.kind for problem in problems)
    return [
        ("images", str(len(coco.images))),
        ("images without objects", str(counts.count(0))),
        ("objects", str(len(objects))),
        ("crowds", str(len(coco.annotations) - len(objects))),
        (
            "objects of an image: mean, most",
            f"{np.mean(counts or [0]):.1f}, {max(counts, default=0)}",
        ),
        ("small / medium / large objects", count_sizes(object_areas(objects))),
        *(() if resized is None else _resized_rows(resized)),
        ("errors", str(num_errors)),
        ("warnings", str(len(problems) - num_errors)),
        *((f"  {kind}", str(count)) for kind, count in sorted(kinds.items())),
    ]


def _resized_rows(resized: Resized) -> Iterator[tuple[str, str]]:
    yield "  after the resize", count_sizes(resized.areas())
    yield "  less than a pixel then", str(resized.lost().sum())
    if len(resized.sides):
        shorter = (resized.sides * resized.scales).min(1)
        text = f"{shorter.min():.1f}, {np.median(shorter):.1f}"
        yield "  shorter side of a box then: least, median", text


def _class_rows(coco: CocoJson) -> list[tuple[str, int, int]]:
    objects = Counter(a.get("category_id") for a in _objects(coco))
    pairs = {(a.get("category_id"), a.get("image_id")) for a in _objects(coco)}
    images = Counter(category_id for category_id, _ in pairs)
    return [
        (str(c.get("name")), objects[c.get("id")], images[c.get("id")]) for c in coco.categories
    ]
