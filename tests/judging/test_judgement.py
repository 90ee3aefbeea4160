import json
import math
from collections.abc import Callable

import pytest

from hdetr_d2.judging import Numbered, judge
from hdetr_d2.utils.strict_json import to_json

BOX = (10, 10, 20, 20)
FAR = (60, 60, 20, 20)


def test_the_rows_by_hand(make_data: Callable) -> None:
    objects = [(1, 1, BOX, 0), (1, 1, FAR, 0), (2, 2, BOX, 0)]
    found = [(1, 1, BOX, 0.9), (2, 2, BOX, 0.4), (2, 2, FAR, 0.3)]
    judgement = judge(make_data(objects, found))
    cat, dog, everything = judgement.rows()
    assert (cat["class"], cat["objects"], cat["score from"]) == ("cat", 2, 0.9)
    assert (cat["precision"], cat["recall"]) == (100, 50)
    assert (dog["precision"], dog["recall"], dog["score from"], dog["AP50"]) == (100, 100, 0.4, 100)
    assert (everything["class"], everything["objects"]) == ("all", 3)
    assert everything["recall"] == pytest.approx(200 / 3) and everything["score from"] == 0.4
    assert math.isnan(everything["APl"]) and everything["APs"] == everything["AP"]
    assert judgement.confusion.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    lines = judgement.table().splitlines()
    assert lines[0].split()[:3] == ["class", "objects", "AP"] and len(lines) == 5
    assert lines[2].split()[0] == "cat" and lines[2].split()[-4:] == [
        "0.9",
        "100.0",
        "50.0",
        "66.7",
    ]


def test_json_is_plain(make_data: Callable) -> None:
    judgement = judge(make_data([(1, 1, BOX, 0)], [(1, 1, BOX, 0.9)]))
    content = json.loads(to_json(judgement.as_json()))
    assert content["all"]["F1"] == 100 and content["classes"][1]["AP"] is None
    assert content["confusion"]["classes"] == ["cat", "dog", None]
    assert content["calibration"]["expected_error"] == 100 * (1 - 0.9)
    assert content["images"] == 2 and content["detections"] == 1


def test_nothing_found_is_zero_and_nothing_there_is_nan(make_data: Callable) -> None:
    cat, dog, everything = judge(make_data([(1, 1, BOX, 0)], [])).rows()
    assert cat["AP"] == cat["AR"] == cat["APs"] == everything["AP50"] == 0
    assert math.isnan(dog["AP"]) and math.isnan(cat["APm"]) and math.isnan(cat["score from"])
    assert cat["recall"] == 0 and cat["F1"] == 0
    nothing = judge(make_data([], [(1, 1, BOX, 0.5)]))
    assert all(math.isnan(row["AP"]) for row in nothing.rows())


def test_what_an_object_may_leave_out(draw_data: Callable) -> None:
    content, results = draw_data(1, crowds=0.0)
    bare = [
        {key: value for key, value in each.items() if key not in ("iscrowd", "area", "id")}
        for each in content["annotations"]
    ]
    whole = judge(Numbered.of(content, results))
    found = judge(Numbered.of({**content, "annotations": bare}, results))
    assert to_json(found.as_json()) == to_json(whole.as_json())
    assert found.matches.hits.any() and "iscrowd" not in bare[0]


def test_of_a_detector_that_is_never_right_are_the_confusions_from_a_half(
    make_data: Callable,
) -> None:
    found = [(1, 2, BOX, 0.6), (1, 1, FAR, 0.5), (2, 1, BOX, 0.4)]
    judgement = judge(make_data([(1, 1, BOX, 0), (2, 2, FAR, 0)], found))
    assert math.isnan(judgement.best.threshold) and judgement.threshold == 0.5
    assert judgement.confusion.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    told = json.loads(to_json(judgement.as_json()))
    assert told["confusion"]["threshold"] == 0.5 and told["all"]["score from"] is None
