"""The content of a page about one run, or two runs on the same data, as plain data for json."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hdetr_d2.judging import Judgement

LEAST = 0.05
"""Minimum score of detections in the pictures, unless a threshold is lower."""
CURVES = ("total_loss", "validation/total_loss", "bbox/AP", "bbox/AP50", "segm/AP", "segm/AP50")
STEPS = 100  # number of steps of the score slider
WRONG, RIGHT, IGNORED = range(3)
"""The kinds of detections."""


@dataclass(frozen=True)
class Subject:
    """A run on a page.

    Attributes:
        name: name of the run on the page.
        judgement: judgement of its detections.
        metrics: metrics of its training, as returned by `read_metrics`; may be empty.
    """

    name: str
    judgement: Judgement
    metrics: Sequence[Mapping[str, float]] = ()

    @cached_property
    def by_image(self) -> list[np.ndarray]:
        """The detections of each image, as indices into the matches."""
        return self.judgement.matches.by_image(len(self.judgement.data.images))

    def errors(self) -> np.ndarray:
        """Number of misses and false positives of each image at the threshold, int [I]."""
        matches, truth = self.judgement.matches, self.judgement.data.truth
        sizes = np.zeros(len(self.judgement.data.images), np.int64)
        for entry in truth.anns.values():
            sizes[entry["image_id"] - 1] += not entry.get("iscrowd", 0)
        kept = (matches.scores >= self.judgement.threshold) & ~matches.ignored
        signs = np.where(matches.hits, -1, 1)[kept]
        changes = np.bincount(matches.images[kept], weights=signs, minlength=len(sizes))
        return sizes + changes.astype(np.int64)


def content_of(title: str, subjects: Sequence[Subject], images: Iterable[int]) -> dict[str, Any]:
    """All content of a page except the pictures.

    Args:
        subjects: runs evaluated on the same data.
        images: the images to show, in order: indices of the data's images.
    """
    data = subjects[0].judgement.data
    least = min(LEAST, *(subject.judgement.threshold for subject in subjects))
    least = math.floor(least * STEPS) / STEPS  # a step of the slider
    return {
        "title": title,
        "classes": data.class_names,
        "iou": subjects[0].judgement.iou,
        "total": len(data.images),
        "least": least,
        "runs": [_run(subject) for subject in subjects],
        "images": [_image(subjects, image, least) for image in images],
    }


def _run(subject: Subject) -> dict[str, Any]:
    judgement = subject.judgement
    points = [judgement.curve.at(step / STEPS) for step in range(STEPS + 1)]
    bins = judgement.calibration
    return {
        "name": subject.name,
        "curves": {name: curve for name in CURVES if (curve := _curve(subject.metrics, name))},
        "rows": list(judgement.rows()),
        "threshold": judgement.threshold,
        "counts": [[point.hits, point.false_alarms, point.misses] for point in points],
        "confusion": judgement.confusion.tolist(),
        "calibration": {
            "error": bins.error,
            "counts": bins.counts.tolist(),
            "scores": bins.scores.tolist(),
            "precisions": bins.precisions.tolist(),
        },
    }


def _curve(rows: Sequence[Mapping[str, float]], name: str, most: int = 500) -> list[list[float]]:
    """Iterations and values; averaged over neighbouring points if a training has more than
    `most`.
    """
    points = np.array([[row["iteration"], row[name]] for row in rows if name in row])
    if len(points) > most:
        points = np.array([part.mean(0) for part in np.array_split(points, most)])
    return points.tolist()


def _image(subjects: Sequence[Subject], place: int, least: float) -> dict[str, Any]:
    data = subjects[0].judgement.data
    entry = data.images[place]
    objects = data.truth.imgToAnns.get(place + 1, [])
    numbers = {each["id"] - 1: number for number, each in enumerate(objects)}
    return {
        "name": str(entry.get("file_name", entry["id"])),
        "size": [entry["width"], entry["height"]],
        "objects": [
            [*_rounded(each["bbox"]), each["category_id"] - 1, int(bool(each.get("iscrowd", 0)))]
            for each in objects
        ],
        "found": [_found(subject, place, least, numbers) for subject in subjects],
    }


def _found(
    subject: Subject, place: int, least: float, numbers: Mapping[int, int]
) -> list[list[float]]:
    """Box (xywh), class, score, kind, and the index of the object it finds (or -1) of each
    detection; best first.
    """
    matches, found = subject.judgement.matches, subject.judgement.data.found
    here = subject.by_image[place]
    here = here[matches.scores[here] >= least]
    here = here[np.argsort(-matches.scores[here], kind="stable")]
    kinds = np.where(matches.ignored, IGNORED, np.where(matches.hits, RIGHT, WRONG))
    return [
        [
            *_rounded(found.anns[int(matches.places[i]) + 1]["bbox"]),
            int(matches.labels[i]),
            float(matches.scores[i]),
            int(kinds[i]),
            numbers.get(int(matches.objects[i]), -1),
        ]
        for i in here
    ]


def _rounded(box: Sequence[float]) -> list[float]:
    return [round(float(side), 1) for side in box]
