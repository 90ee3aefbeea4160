"""Small data sets in a temporary folder."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def coco() -> dict:
    """Three images of 40 x 30: two objects, a crowd, nothing; category ids with a hole."""
    box = {"iscrowd": 0, "area": 100.0}
    return {
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": 40, "height": 30} for i in (1, 2, 3)
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 3, "bbox": [2, 3, 10, 10], **box},
            {"id": 2, "image_id": 1, "category_id": 7, "bbox": [20, 5, 15, 20], **box},
            {"id": 3, "image_id": 2, "category_id": 3, "bbox": [0, 0, 9, 9], **box, "iscrowd": 1},
        ],
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict], tuple[Path, Path]]:
    """Writes a json and a picture for each of its images; gives the json's path and the folder."""

    def write_files(content: dict, name: str = "data") -> tuple[Path, Path]:
        folder = tmp_path / f"{name}_images"
        folder.mkdir(exist_ok=True)
        random = np.random.default_rng(0)
        for image in content["images"]:
            shape = (image["height"], image["width"], 3)
            pixels = random.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / image["file_name"])
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return path, folder

    return write_files
