import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from hdetr_d2.data import patience
from hdetr_d2.data.patience import is_gone, patiently
from hdetr_d2.pixels.images import BadImageError


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an image, which is away as `away`; it comes back after three looks."""
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "1.png").write_text("pixels")
    folder.rename(tmp_path / "away")
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            (tmp_path / "away").rename(folder)

    monkeypatch.setattr(patience.time, "sleep", sleep)
    return folder


def read_of(path: Path) -> Callable[[], str]:
    def read() -> str:
        try:
            return path.read_text()
        except FileNotFoundError:
            raise BadImageError(f"{path} does not exist") from None

    return read


def test_a_folder_that_comes_back_costs_no_image(
    images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = images / "1.png"
    with caplog.at_level(logging.WARNING):
        assert patiently(read_of(path), {"file_name": str(path)}, 10) == "pixels"
    assert [record.getMessage() for record in caplog.records] == [
        f"{images} has disappeared: waiting up to 10 s for its return",
        f"{images} is back, and no image was left out",
    ]


def test_it_is_not_awaited_for_ever(images: Path) -> None:
    path = images / "1.png"
    with pytest.raises(BadImageError, match=f"1.png does not exist: {images} is gone, for 2 s now"):
        patiently(read_of(path), {"file_name": str(path)}, 2)


def test_an_image_that_is_missing_alone_is_not_awaited(tmp_path: Path) -> None:
    (tmp_path / "1.png").touch()
    path = tmp_path / "2.png"
    with pytest.raises(BadImageError, match="2.png does not exist$"):
        patiently(read_of(path), {"file_name": str(path)}, 10)


def test_an_empty_folder_is_one_that_is_not_mounted(tmp_path: Path) -> None:
    assert is_gone(str(tmp_path)) and is_gone(str(tmp_path / "none"))
    (tmp_path / "1.png").touch()
    assert not is_gone(str(tmp_path))
