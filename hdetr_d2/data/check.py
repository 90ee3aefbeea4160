"""A full look at a data set: what registration checks, and every image file and class."""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from hdetr_d2.data.coco_json import (
    CocoJson,
    Labels,
    Problem,
    category_mismatch,
    evaluation_gaps,
    find_problems,
    read_coco_json,
)
from hdetr_d2.data.images import BadImageError, check_size, read_image

# COCO's limits between small, medium and large objects, in pixels of area.
SMALL, LARGE = 32**2, 96**2


@dataclass(frozen=True)
class Report:
    """What `check_data` found: problems, (name, value) rows and (class, objects, images) rows; and
    the json it looked at.
    """

    problems: list[Problem]
    summary: list[tuple[str, str]]
    classes: list[tuple[str, int, int]]
    coco: CocoJson

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
) -> Report:
    """Check a COCO json and its images; every file is decoded.

    Args:
        json_file, images: the data set.
        num_queries: of the model: an image with more objects cannot be learnt completely.
        top_k: detections kept of an image: more objects than that cannot all be found.
        num_threads: that decode images.
        train: that of the training data, if these are the validation data: they must have the same
            categories, and may have no annotations.

    Raises:
        UserError: the json cannot be read at all.
    """
    coco = read_coco_json(json_file, annotated=train is None)
    problems = [
        *_no_images(coco),
        *find_problems(coco),
        *([] if train is None else _category_problems(train.coco, coco)),
        *evaluation_gaps(coco),
        *_file_problems(coco, images, num_threads),
        *_count_problems(coco, num_queries, top_k),
    ]
    return Report(problems, _summary(coco, problems), _class_rows(coco), coco)


def tables(report: Report) -> list[Table]:
    """The report's numbers as tables for a terminal."""
    summary = Table("", "count", title="Data set")
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
        yield Problem("no images", f"{coco.path} has no images")


def _category_problems(train: CocoJson, val: CocoJson) -> Iterator[Problem]:
    if fault := category_mismatch(_labels(train), _labels(val)):
        yield Problem("other categories", f"{train.path} and {val.path} {fault}")


def _labels(coco: CocoJson) -> Labels:
    complete = [c for c in coco.categories if "id" in c and isinstance(c.get("name"), str)]
    ordered = sorted(complete, key=lambda category: category["id"])
    return [category["name"] for category in ordered], [category["id"] for category in ordered]


def _file_problems(coco: CocoJson, folder: str, num_threads: int) -> Iterator[Problem]:
    def look(image: dict) -> str | None:
        path = os.path.join(folder, image["file_name"])
        try:
            check_size(path, read_image(path), image.get("width", 0), image.get("height", 0))
        except BadImageError as error:
            return str(error)
        return None

    named = [image for image in coco.images if isinstance(image.get("file_name"), str)]
    with ThreadPoolExecutor(num_threads) as pool:
        for image, fault in zip(named, pool.map(look, named), strict=True):
            if fault:
                text = f"{coco.path}: image {image.get('id')}: {fault}"
                yield Problem("image files that are missing or wrong", text)


def _count_problems(coco: CocoJson, num_queries: int, top_k: int) -> Iterator[Problem]:
    counts = Counter(a.get("image_id") for a in _objects(coco))
    for image_id, count in counts.items():
        for limit, name in ((num_queries, "queries"), (top_k, "detections kept of an image")):
            if count > limit:
                text = f"image {image_id} has {count} objects, but there are only {limit} {name}"
                text = f"{coco.path}: {text}"
                yield Problem(f"more objects than {name}", text, is_error=False)
    for image in coco.images:
        if image.get("id") not in counts:
            text = f"{coco.path}: image {image.get('id')} has no object"
            yield Problem("image without objects", text, is_error=False)


def _summary(coco: CocoJson, problems: list[Problem]) -> list[tuple[str, str]]:
    objects = _objects(coco)
    per_image = Counter(a.get("image_id") for a in objects)
    counts = [per_image[image.get("id")] for image in coco.images] or [0]
    areas = np.array([a["area"] for a in objects if isinstance(a.get("area"), int | float)])
    num_small, num_large = int((areas < SMALL).sum()), int((areas > LARGE).sum())
    sizes = f"{num_small} / {len(areas) - num_small - num_large} / {num_large}"
    num_errors = sum(problem.is_error for problem in problems)
    kinds = Counter(problem.kind for problem in problems)
    return [
        ("images", str(len(coco.images))),
        ("images without objects", str(sum(count == 0 for count in counts))),
        ("objects", str(len(objects))),
        ("crowds", str(len(coco.annotations) - len(objects))),
        ("objects of an image: mean, most", f"{np.mean(counts):.1f}, {max(counts)}"),
        ("small / medium / large objects", sizes),
        ("errors", str(num_errors)),
        ("warnings", str(len(problems) - num_errors)),
        *((f"  {kind}", str(count)) for kind, count in sorted(kinds.items())),
    ]


def _class_rows(coco: CocoJson) -> list[tuple[str, int, int]]:
    objects = Counter(a.get("category_id") for a in _objects(coco))
    pairs = {(a.get("category_id"), a.get("image_id")) for a in _objects(coco)}
    images = Counter(category_id for category_id, _ in pairs)
    return [
        (str(c.get("name")), objects[c.get("id")], images[c.get("id")]) for c in coco.categories
    ]
