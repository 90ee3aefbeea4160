"""Small image files, each unlike the others."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def pictures() -> Callable[..., None]:
    """`pictures(path, ..., size=(40, 30))` writes images of this width and height."""
    seeds = count()

    def write(*paths: Path, size: tuple[int, int] = (40, 30)) -> None:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(next(seeds)).integers(0, 256, (*size[::-1], 3))
            Image.fromarray(pixels.astype(np.uint8)).save(path)

    return write
