"""A published file comes, is verified and is converted; each of it once."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from iopath.common.file_io import HTTPURLHandler
from iopath.common.file_io import PathManager as PathManagerBase

from hdetr_d2.errors import UserError
from hdetr_d2.model_zoo import download
from hdetr_d2.model_zoo.download import converted
from hdetr_d2.model_zoo.published import Published

CONTENT = b"weights in another format"


class FileHandler(HTTPURLHandler):
    """Treats a file of this machine like one of another."""

    def _get_supported_prefixes(self) -> list[str]:
        return ["file://"]


@pytest.fixture(autouse=True)
def conversions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What was converted so far: (content of the file, source, classes, arguments). The cache is
    empty.
    """
    done: list[tuple] = []

    def convert(path: Path, *, source: str, output: Path, classes: str, arguments: dict) -> None:
        done.append((path.read_bytes(), source, classes, arguments))
        output.mkdir()
        (output / "model.pth").write_bytes(b"ours")

    manager = PathManagerBase()
    manager.register_handler(FileHandler())
    monkeypatch.setattr(download, "PathManager", manager)
    monkeypatch.setattr(download, "convert_checkpoint", convert)
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    return done


@pytest.fixture
def publish(tmp_path: Path) -> Callable[..., Published]:
    """A file on this machine as a published checkpoint."""

    def write(sha256: str | None = None, classes: str = "all", **arguments: object) -> Published:
        file = tmp_path / "theirs.pth"
        file.write_bytes(CONTENT)
        return Published(file.as_uri(), "theirs", 40.0, classes, sha256, arguments)

    return write


def test_a_file_is_downloaded_and_converted_once(
    publish: Callable[..., Published], conversions: list[tuple], tmp_path: Path
) -> None:
    published = publish(classes="coco80", dilation=True)
    first = converted(published)
    assert first.read_bytes() == b"ours"
    assert first.is_relative_to(tmp_path / "cache" / "hdetr_d2")
    (tmp_path / "theirs.pth").unlink()
    assert converted(published) == first
    assert conversions == [(CONTENT, "theirs", "coco80", {"dilation": True})]


def test_other_classes_or_arguments_are_another_conversion(
    publish: Callable[..., Published], conversions: list[tuple]
) -> None:
    folders = {
        converted(publish(**each)) for each in ({}, {"classes": "coco80"}, {"dilation": True})
    }
    assert len(folders) == len(conversions) == 3


@pytest.mark.parametrize("length", [8, 64])
def test_the_published_checksum_passes(publish: Callable[..., Published], length: int) -> None:
    assert converted(publish(hashlib.sha256(CONTENT).hexdigest()[:length])).is_file()


def test_another_file_than_the_published_one_is_refused(
    publish: Callable[..., Published], conversions: list[tuple]
) -> None:
    with pytest.raises(UserError, match=r"theirs\.pth is not file://.*: delete it and try again"):
        converted(publish("0" * 64))
    assert conversions == []


def test_an_address_without_a_file_is_named(tmp_path: Path) -> None:
    missing = Published((tmp_path / "missing.pth").as_uri(), "theirs", 40.0)
    with pytest.raises(UserError, match=r"missing\.pth cannot be downloaded: "):
        converted(missing)


def test_a_broken_conversion_is_tried_again(
    publish: Callable[..., Published], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, **options: object) -> None:
        raise UserError("broken")

    with monkeypatch.context() as patch, pytest.raises(UserError, match="broken"):
        patch.setattr(download, "convert_checkpoint", fail)
        converted(publish())
    assert converted(publish()).is_file()
