"""What is to be the same on two processes as on one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("two_processes.py")
# What is found is right, and one of five objects, in image 3, is missed: precision 1 up to recall
# 0.8, that is at 81 of the 101 points.
AVERAGE_PRECISION = 100 * 81 / 101


@pytest.fixture(scope="module")
def facts(run_twice: Callable, tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("two_processes")
    ids = range(1, 6)
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "height": 50, "width": 50} for i in ids],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "bbox": [i, i, 20, 20], "area": 400}
            | {"iscrowd": 0}
            for i in ids
        ],
    }
    (folder / "truth.json").write_text(json.dumps(content))
    run_twice(SCRIPT, folder)
    return json.loads((folder / "facts.json").read_text())


def test_the_processes_are_numbered(facts: dict) -> None:
    assert facts["ranks"] == [[0, 0, 2], [1, 1, 2]]


def test_every_index_is_given_once_over_the_processes(facts: dict) -> None:
    assert facts["indices"] == [[[0, 1, 2], [0, 1], [0]], [[3, 4], [2, 3], []]]


def test_every_image_is_evaluated_once(facts: dict) -> None:
    assert facts["evaluate"]["seen"] == [[1, 2, 3], [4, 5]]
    assert facts["evaluate"]["AP"] == pytest.approx(AVERAGE_PRECISION)


def test_only_the_first_process_has_results(facts: dict) -> None:
    assert facts["evaluate"]["empty"]
