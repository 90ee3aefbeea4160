"""The numbers of pycocotools, computed here, and of supervision 0.31.2, as it gave them.

They differ in how many detections count: with pycocotools the best ones of an image and class, with
supervision all; so do we with a limit that no image reaches.
"""

import contextlib
import io
from collections.abc import Callable

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hdetr_d2.judging import COLUMNS, Numbered, average_precision, confusion_matrix, judge
from hdetr_d2.utils.strict_json import to_json

# By seed, for detections with a score of 0.4 or more that overlap objects by more than half.
CONFUSION = [
    [[6, 0, 4, 9], [7, 5, 5, 11], [0, 0, 0, 0], [17, 16, 9, 0]],
    [[8, 2, 2, 5], [1, 1, 2, 3], [0, 0, 0, 0], [21, 27, 27, 0]],
    [[6, 2, 5, 3], [5, 8, 3, 1], [0, 0, 0, 0], [31, 31, 31, 0]],
]
# Precision, recall and F1 at an IoU of 0.5: of all classes, then of the two that have objects.
SCORES = [
    [
        [0.15942028985507245, 0.2, 0.23809523809523808],
        [0.23404255319148937, 0.3157894736842105, 0.17857142857142858],
        [0.1896551724137931, 0.24489795918367346, 0.20408163265306123],
    ],
    [
        [0.0989010989010989, 0.26666666666666666, 0.03333333333333333],
        [0.375, 0.47058823529411764, 0.14285714285714285],
        [0.1565217391304348, 0.3404255319148936, 0.05405405405405406],
    ],
    [
        [0.11475409836065574, 0.14285714285714285, 0.1951219512195122],
        [0.42424242424242425, 0.375, 0.47058823529411764],
        [0.18064516129032257, 0.20689655172413793, 0.27586206896551724],
    ],
]


def best_of_each(results: list[dict], most: int) -> list[dict]:
    """In the order of the list, which decides between equal scores."""
    kept: list[dict] = []
    for key in {(each["image_id"], each["category_id"]) for each in results}:
        group = [each for each in results if (each["image_id"], each["category_id"]) == key]
        kept += sorted(group, key=lambda each: -each["score"])[:most]
    return [each for each in results if any(each is one for one in kept)]


@pytest.mark.parametrize("seed", range(3))
def test_of_supervision(seed: int, draw_data: Callable) -> None:
    content, results = draw_data(seed, crowds=0.0)
    assert best_of_each(results, 100) == results  # so all count
    data = Numbered.of(content, results)
    judgement = judge(data, max_dets=100)
    found = confusion_matrix(data, judgement.matches, threshold=0.4)
    np.testing.assert_array_equal(found, CONFUSION[seed])
    points = [curve.at(0.4) for curve in (judgement.curve, *judgement.curves[:2])]
    numbers = [[getattr(p, name) for p in points] for name in ("precision", "recall", "f1")]
    np.testing.assert_allclose(numbers, SCORES[seed], rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_beyond_the_limit_counts_nowhere(seed: int, draw_data: Callable) -> None:
    content, results = draw_data(seed)
    fewer = best_of_each(results, 2)
    assert len(fewer) < len(results)
    limited = judge(Numbered.of(content, results), max_dets=2)
    expected = judge(Numbered.of(content, fewer), max_dets=100)
    assert to_json({**limited.as_json(), "max_dets": 100}) == to_json(expected.as_json())


def pycocotools(content: dict, results: list[dict], max_dets: int) -> COCOeval:
    """An evaluation of its own, of objects whose ids count from 1."""
    truth = COCO()
    objects = [{**entry, "id": entry["id"] + 1} for entry in content["annotations"]]
    truth.dataset = {**content, "annotations": objects}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes([dict(each) for each in results]), "bbox")
        run.params.maxDets = [max_dets]
        run.evaluate()
        run.accumulate()
    return run


@pytest.mark.parametrize("max_dets", [2, 100])
@pytest.mark.parametrize("seed", range(4))
def test_of_pycocotools(seed: int, max_dets: int, draw_data: Callable) -> None:
    content, results = draw_data(seed)
    run = pycocotools(content, results, max_dets)
    found = average_precision(Numbered.of(content, results), max_dets)
    precision, recall = run.eval["precision"], run.eval["recall"]  # [T, R, K, A, M], [T, K, A, M]
    parts = [precision[..., 0, -1], precision[:1, ..., 0, -1], precision[5:6, ..., 0, -1]]
    parts += [*(precision[..., size, -1] for size in (1, 2, 3)), recall[..., 0, -1]]
    for name, part in zip(COLUMNS, parts, strict=True):
        of_classes = [part[..., k] for k in range(3)]
        expected = [
            values[values > -1].mean() if (values > -1).any() else np.nan
            for values in (*of_classes, part)
        ]
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("max_dets", [1, 3, 100])
def test_the_last_recall_is_that_of_the_curve(max_dets: int, draw_data: Callable) -> None:
    """With ties, crowds, and an object whose id is 0, which pycocotools would not see found."""
    content, results = draw_data(3)
    run = pycocotools(content, results, max_dets)
    judgement = judge(Numbered.of(content, results), max_dets=max_dets)
    for label in range(2):
        assert judgement.curves[label].at(0.0).recall == run.eval["recall"][0, label, 0, 0]
