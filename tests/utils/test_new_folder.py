from pathlib import Path

import pytest

from hdetr_d2.errors import UserError
from hdetr_d2.utils.new_folder import new_folder, require_new


@pytest.mark.parametrize("is_there", [False, True])
def test_a_folder_appears_whole(tmp_path: Path, is_there: bool) -> None:
    folder = tmp_path / "a" / "b"
    if is_there:
        folder.mkdir(parents=True)
    with new_folder(require_new(folder, "--output")) as draft:
        (draft / "one").write_text("1")
        assert not (folder / "one").exists()
    assert (folder / "one").read_text() == "1"
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("error", [ValueError("of the caller"), UserError("of the caller")])
def test_nothing_is_left_of_a_folder_that_failed(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error), match="of the caller"), new_folder(tmp_path / "b") as draft:
        (draft / "one").write_text("1")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path, tmp_path / "file"):
        with pytest.raises(UserError, match=r"^--output .* is there already"):
            require_new(place, "--output")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(UserError, match=r"cannot write .*file/b: "),
        new_folder(tmp_path / "file/b"),
    ):
        pass
