import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hdetr_d2.judging import Numbered, judge
from hdetr_d2.pixels.images import BadImageError
from hdetr_d2.report import Subject, chosen, content_of, jpegs, page_of


def subject(data: tuple, name: str = "run") -> Subject:
    rows = [{"iteration": i, "total_loss": 9.0 - i} for i in range(3)] + [{"iteration": 2}]
    return Subject(name, judge(Numbered.of(*data)), rows)


def test_errors_are_misses_and_false_alarms_at_the_threshold(make_data: Callable) -> None:
    run = subject(make_data(4))
    # The second object is missed in images 1 and 3, where that of 3 is a crowd.
    assert run.judgement.threshold == 0.6
    assert run.errors().tolist() == [0, 1, 0, 0]
    assert chosen([run], 2) == [1, 0] and chosen([run], 0) == []
    counted = run.judgement.best
    assert run.errors().sum() == counted.misses + counted.false_alarms


def test_of_two_runs_the_differences_go_first(make_data: Callable) -> None:
    both = [subject(make_data(4)), subject(make_data(4, shift=1))]
    errors = [each.errors() for each in both]
    apart = np.abs(errors[0] - errors[1])[chosen(both, 4)]
    assert apart.tolist() == sorted(apart.tolist(), reverse=True) and apart[0] > 0


def test_the_content_by_hand(make_data: Callable) -> None:
    content = content_of("title", [subject(make_data(4))], [1, 3])
    first, last = content["images"]
    assert first["name"] == "<i>1&.png" and first["size"] == [100, 80]
    assert first["objects"] == [[10, 10, 30, 20, 0, 0], [60, 40, 30, 30, 1, 0]]
    assert first["found"] == [[[10, 10, 30, 20, 0, 0.9, 1, 0], [0, 60, 15, 15, 1, 0.4, 0, -1]]]
    assert last["objects"][1][5] == 1
    (run,) = content["runs"]
    assert run["curves"] == {"total_loss": [[0, 9], [1, 8], [2, 7]]}
    # All scores, above 0.5, above 0.95: hits, false alarms and misses of 7 objects.
    assert [run["counts"][step] for step in (0, 50, 95)] == [[6, 4, 1], [6, 0, 1], [0, 0, 7]]
    assert content["least"] == 0.05 and content["total"] == 4


def test_a_long_curve_is_thinned(make_data: Callable) -> None:
    rows = [{"iteration": i, "total_loss": float(i)} for i in range(5000)]
    run = Subject("long", judge(Numbered.of(*make_data(1))), rows)
    curve = content_of("", [run], [])["runs"][0]["curves"]["total_loss"]
    assert len(curve) == 500 and curve[0] == [4.5, 4.5]


def test_nothing_found_and_nothing_there(make_data: Callable) -> None:
    content, found = make_data(2)
    run = subject((content, []))
    assert run.errors().tolist() == [2, 1]
    empty = subject(({**content, "annotations": []}, found))
    page = "".join(page_of(content_of("t", [run, empty], [0]), ["x"]))
    assert json.loads(page.split('id="content">')[1].split("</script>")[0])["total"] == 2


def test_a_matrix_has_the_threshold_of_its_caption(make_data: Callable) -> None:
    content, found = make_data(2)
    wrong = [{**each, "bbox": [0, 0, 5, 5]} for each in found]  # scores 0.9, 0.4, 0.6; 0.9, 0.4
    (run,) = content_of("t", [subject((content, wrong))], [])["runs"]
    assert run["threshold"] == 0.5
    assert run["confusion"] == [[0, 0, 2], [0, 0, 1], [2, 1, 0]]


def test_pictures_have_all_that_the_slider_shows(make_data: Callable) -> None:
    content, found = make_data(2)
    low = [{**each, "score": each["score"] / 20} for each in found]  # 0.045, 0.02, 0.03
    low.append({**low[0], "bbox": [0, 0, 5, 5], "score": 0.0215})
    shown = content_of("t", [subject((content, low))], [0])
    assert shown["runs"][0]["threshold"] == 0.03 and shown["least"] == 0.03
    lower = [{**each, "score": each["score"] / 2} for each in low]
    shown = content_of("t", [subject((content, lower))], [0])
    assert shown["runs"][0]["threshold"] == 0.015 and shown["least"] == 0.01
    assert [each[5] for each in shown["images"][0]["found"][0]] == [0.0225, 0.015, 0.01075, 0.01]


def test_names_are_no_markup_and_nothing_is_asked_for(make_data: Callable) -> None:
    page = "".join(page_of(content_of("<title>&", [subject(make_data(2))], [0]), ["UEc="]))
    assert "<title>&lt;title&gt;&amp;</title>" in page
    assert "<b>dog" not in page and "<i>" not in page
    assert "default-src 'none'" in page
    for part in ("http://", "https://", "@import", "url("):
        assert part not in page.replace("http://www.w3.org/2000/svg", "")


def test_pictures_are_small_jpegs(tmp_path: Path) -> None:
    Image.fromarray(np.full((300, 600, 3), 200, np.uint8)).save(tmp_path / "a.png")
    (text,) = jpegs([tmp_path / "a.png"], side=64)
    assert text.startswith("/9j/") and len(text) < 2000
    with pytest.raises(BadImageError):
        next(jpegs([tmp_path / "none.png"], side=64))
