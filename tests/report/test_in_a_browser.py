"""The page as a reader has it, in a headless Chromium."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hdetr_d2.judging import Numbered, judge
from hdetr_d2.report import Subject, content_of, page_of

pytestmark = pytest.mark.slow
IMAGES = 6
RIGHT, LEFT, ESCAPE, ENTER = ("ArrowRight", 39), ("ArrowLeft", 37), ("Escape", 27), ("Enter", 13)


def pictures(count: int) -> Iterator[str]:
    random = np.random.default_rng(0)
    for _ in range(count):
        low = Image.fromarray(random.integers(0, 255, (8, 10, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        low.resize((100, 80), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=80)
        yield base64.b64encode(buffer.getvalue()).decode()


def write(path: Path, *data: tuple, count: int = IMAGES) -> Path:
    rows = [{"iteration": i, "total_loss": 9.0 - i, "bbox/AP": 10.0 * i} for i in range(3)]
    runs = [Subject(f"run {k}", judge(Numbered.of(*each)), rows) for k, each in enumerate(data)]
    content = content_of("A <b>title</b>", runs, range(count))
    path.write_text("".join(page_of(content, pictures(count))), encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Any, make_data: Callable, tmp_path: Path) -> Any:
    browser.open(write(tmp_path / "page.html", make_data(IMAGES)))
    return browser


def counts(page: Any) -> str:
    return page.ask("document.getElementById('counts').textContent.trim()")


def slide(page: Any, name: str, value: float) -> None:
    slider = f"document.getElementById('{name}')"
    page.ask(f"{slider}.value = {value}; {slider}.dispatchEvent(new Event('input')); 1")
    page.settle()


def test_it_opens_without_a_complaint_and_asks_for_nothing(page: Any) -> None:
    assert page.ask("document.querySelector('h1').textContent") == "A <b>title</b>"
    assert page.ask("document.querySelectorAll('b, main i').length") == 0
    assert page.ask("document.querySelectorAll('.chart').length") == 4
    assert page.ask("document.querySelectorAll('#classes tbody tr').length") == 3
    assert page.ask("document.querySelectorAll('.matrix tbody tr').length") == 3
    assert page.complaints == []
    asked = {url.split(":")[0] for url in page.requests}
    assert asked <= {"file", "data"} and sum(url.startswith("file") for url in page.requests) == 1


def test_the_slider_moves_the_count(page: Any) -> None:
    # Of 11 objects and a crowd: 6 cats, 3 of 5 dogs; the false alarms have 0.4.
    assert counts(page) == "2 misses, 0 false alarms, 9 right in 6 pictures, 2 shown."
    slide(page, "threshold", 0.3)
    assert counts(page) == "2 misses, 6 false alarms, 9 right in 6 pictures, 6 shown."
    slide(page, "threshold", 0.7)
    assert counts(page) == "5 misses, 0 false alarms, 6 right in 6 pictures, 5 shown."
    slide(page, "threshold", 1)
    assert counts(page) == "11 misses, 0 false alarms, 0 right in 6 pictures, 6 shown."
    assert page.ask("document.getElementById('threshold-value').textContent") == "1.00"


def test_the_threshold_that_is_shown_is_the_one_that_is_used(
    browser: Any, make_data: Callable, tmp_path: Path
) -> None:
    content, found = make_data(IMAGES)
    scores = {0.6: 0.617, 0.4: 0.6149}  # dogs and false alarms, between which no two digits lie
    found = [{**each, "score": scores.get(each["score"], each["score"])} for each in found]
    browser.open(write(tmp_path / "page.html", (content, found)))
    value = "document.getElementById('threshold-value').textContent"
    assert browser.ask(value) == "0.617"
    assert "score from 0.617," in browser.ask("document.querySelector('caption').textContent")
    cells = "[...document.querySelectorAll('#classes tr.all td')].map((each) => each.textContent)"
    assert "0.617" in browser.ask(cells)
    assert counts(browser).startswith("2 misses, 0 false alarms, 9 right")
    slide(browser, "threshold", 0.62)
    assert browser.ask(value) == "0.62"
    assert counts(browser).startswith("5 misses, 0 false alarms, 6 right")
    slide(browser, "threshold", 0.61)
    assert counts(browser).startswith("2 misses, 6 false alarms, 9 right")
    browser.ask("document.querySelector('#gallery button').click(); 1")
    tags = "[...document.querySelectorAll('.tag.alarm')].map((each) => each.textContent)"
    (alarm,) = browser.ask(tags)
    assert alarm.endswith(" 0.61")  # there from 0.61 on, not from 0.62 on


def test_the_gallery_filters(page: Any) -> None:
    slide(page, "threshold", 0.3)
    choose = "document.getElementById('{}').value = '{}'; document.getElementById('{}')"
    for name, value, shown in (("show", "misses", 2), ("show", "all", 6), ("class", "0", 6)):
        event = f"{choose.format(name, value, name)}.dispatchEvent(new Event('change')); 1"
        page.ask(event)
        page.settle()
        assert page.ask("document.querySelectorAll('#gallery li').length") == shown
    assert counts(page) == "0 misses, 0 false alarms, 6 right in 6 pictures, 6 shown."


def test_the_keyboard_opens_moves_and_closes(page: Any) -> None:
    slide(page, "threshold", 0.3)
    title = "document.getElementById('viewer-title').textContent"
    is_open = "document.getElementById('viewer').open"
    page.ask("document.querySelector('#gallery button').focus(); 1")
    assert not page.ask(is_open)
    page.press(*ENTER)
    assert page.ask(is_open)
    first = page.ask(title)
    assert first.startswith("<i>") and first.endswith("(1 of 6)")
    page.press(*RIGHT)
    assert page.ask(title).endswith("(2 of 6)")
    page.press(*LEFT)
    page.press(*LEFT)
    assert page.ask(title).endswith("(6 of 6)")
    page.press(*RIGHT)
    assert page.ask(title) == first
    boxes = "document.querySelectorAll('#views rect.{}').length"
    assert page.ask(boxes.format("alarm")) == 1
    assert page.ask("document.querySelector('#views img').alt").startswith("<i>")
    slide(page, "viewer-threshold", 0.95)
    assert page.ask(boxes.format("alarm")) == 0 and page.ask(boxes.format("miss")) == 2
    page.press(*ESCAPE)
    assert not page.ask(is_open)
    assert page.ask("document.activeElement.closest('#gallery') !== null")
    assert page.complaints == []


def test_every_control_has_a_name_and_every_picture_a_text(page: Any) -> None:
    nameless = """[...document.querySelectorAll('button, input, select')].filter((each) =>
        !(each.ariaLabel || each.textContent.trim() || each.labels?.length)).length"""
    assert page.ask(nameless) == 0
    assert page.ask("[...document.images].every((each) => each.hasAttribute('alt'))")
    assert page.ask("[...document.querySelectorAll('svg.chart')].every((e) => e.ariaLabel)")


def test_two_runs_stand_side_by_side(browser: Any, make_data: Callable, tmp_path: Path) -> None:
    both = make_data(IMAGES), make_data(IMAGES, shift=1)
    browser.open(write(tmp_path / "two.html", *both))
    assert browser.ask("document.querySelectorAll('.matrix').length") == 2
    assert browser.ask("document.querySelector('caption').textContent").startswith("A: score from")
    browser.ask("document.querySelector('#gallery button').click(); 1")
    browser.settle()
    assert browser.ask("document.querySelectorAll('#views img').length") == 2
    assert browser.complaints == []


def test_nothing_found_opens_too(browser: Any, make_data: Callable, tmp_path: Path) -> None:
    content, _ = make_data(2)
    browser.open(write(tmp_path / "none.html", (content, []), count=2))
    assert counts(browser) == "3 misses, 0 false alarms, 0 right in 2 pictures, 2 shown."
    assert browser.complaints == []


HIDDEN = "document.getElementById('none').hidden"


@pytest.mark.parametrize("are_found", [True, False])
def test_nothing_there_opens_too(
    browser: Any, make_data: Callable, tmp_path: Path, are_found: bool
) -> None:
    content, found = make_data(2)
    nothing = {**content, "annotations": []}
    browser.open(write(tmp_path / "none.html", (nothing, found if are_found else []), count=2))
    alarms = 3 if are_found else 0  # from 0.5 on
    shown = 2 if are_found else 0
    text = f"0 misses, {alarms} false alarms, 0 right in 2 pictures, {shown} shown."
    assert counts(browser) == text and browser.ask(HIDDEN) == are_found
    marker = "document.querySelector('.now')?.getAttribute('x1')"
    assert (browser.ask(marker) is not None) == are_found
    assert browser.complaints == []


def of_many_classes(count: int) -> tuple[dict, list[dict]]:
    """An object of each, of which every class but the last is taken for the next one; and a false
    alarm.
    """
    name = "class {} whose name is long and_one_word_of_it_is_too_long_to_be_broken"
    boxes = [[12 * (k % 20), 12 * (k // 20), 10, 10] for k in range(count)]
    content = {
        "images": [{"id": 0, "width": 240, "height": 180, "file_name": "folder/" * 9 + "a.png"}],
        "categories": [{"id": k, "name": name.format(k)} for k in range(count)],
        "annotations": [
            {"id": k, "image_id": 0, "category_id": k, "bbox": box} for k, box in enumerate(boxes)
        ],
    }
    labels = [min(k + 1, count - 1) for k in range(count)] + [0]
    found = [
        {"image_id": 0, "category_id": label, "bbox": box, "score": 0.9}
        for label, box in zip(labels, [*boxes, [200, 150, 20, 20]], strict=True)
    ]
    return content, found


@pytest.mark.parametrize(
    ("classes", "matrices", "mistakes"), [(1, 2, 0), (20, 2, 0), (30, 2, 2), (151, 0, 2)]
)
def test_any_number_of_classes_fits_a_phone(
    browser: Any, tmp_path: Path, classes: int, matrices: int, mistakes: int
) -> None:
    data = of_many_classes(classes)
    browser.resize(360)
    browser.open(write(tmp_path / "page.html", data, data, count=1))
    count = "document.querySelectorAll('{}').length"
    assert browser.ask(count.format(".matrix")) == matrices
    assert browser.ask(count.format(".mistakes")) == mistakes
    if mistakes:
        assert browser.ask(count.format(".mistakes tbody tr")) == 2 * 20
    assert browser.ask("document.documentElement.scrollWidth") == 360
    browser.ask("document.querySelector('#gallery button').click(); 1")
    browser.settle()
    width = "document.getElementById('viewer').{}Width"
    assert browser.ask(width.format("scroll")) == browser.ask(width.format("client"))
    assert browser.complaints == []


def test_a_thousand_images_stay_usable(browser: Any, make_data: Callable, tmp_path: Path) -> None:
    page = write(tmp_path / "many.html", make_data(1000), count=1000)
    seconds = browser.open(page)
    slide(browser, "threshold", 0.3)
    assert browser.ask("document.querySelectorAll('#gallery li').length") == 1000
    assert browser.ask("document.querySelectorAll('#gallery img').length") < 100
    took = """(async () => { const slider = document.getElementById('threshold');
        const start = performance.now();
        slider.value = 0.5;
        slider.dispatchEvent(new Event('input'));
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        return performance.now() - start; })()"""
    assert browser.ask(took) < 5000
    assert seconds < 60
    assert browser.complaints == []
