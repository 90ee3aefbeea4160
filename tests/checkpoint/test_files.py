import os
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from hdetr_d2.checkpoint import read_checkpoint, write_durably
from hdetr_d2.checkpoint.files import require_plain
from hdetr_d2.errors import UserError


class Foreign:
    """An object that only its own code can load."""


def test_a_durable_file_has_its_content_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_durably(tmp_path / "a", lambda file: file.write(b"one"))
    write_durably(tmp_path / "a", lambda file: file.write(b"two"))
    assert (tmp_path / "a").read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a"]


def test_a_writer_that_breaks_off_leaves_the_old_content(tmp_path: Path) -> None:
    write_durably(tmp_path / "a", lambda file: file.write(b"old"))

    def write(file) -> None:
        file.write(b"ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_durably(tmp_path / "a", write)
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*nowhere/a: No such file or directory"):
        write_durably(tmp_path / "nowhere" / "a", lambda file: file.write(b""))


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on files")
def test_a_full_disk_is_a_sentence_and_leaves_the_old_file_alone(tmp_path: Path) -> None:
    import resource

    write_durably(tmp_path / "a", lambda file: file.write(b"old"))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limit[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*/a: File too large"):
            write_durably(tmp_path / "a", lambda file: torch.save(torch.zeros(9000), file))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_an_error_of_the_content_is_not_one_of_the_disk(tmp_path: Path) -> None:
    def write(file) -> None:
        raise RuntimeError("no such tensor")

    with pytest.raises(RuntimeError, match="no such tensor"):
        write_durably(tmp_path / "a", write)


def test_plain_is_tensors_and_python() -> None:
    require_plain({"a": [1, 2.0, None, (True, "s", b"b")], 3: OrderedDict(t=torch.zeros(1))}, "x")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": {"b": [1, np.float64(2)]}}, r"x\['a'\]\['b'\]\[1\] is a float64"),
        ({"a": Path("b")}, r"x\['a'\] is a PosixPath"),
        ({np.int64(1): 2}, r"a key of x is a int64"),
        (Foreign(), "x is a Foreign"),
    ],
)
def test_anything_else_is_named_with_its_place(value: object, place: str) -> None:
    with pytest.raises(TypeError, match=place):
        require_plain(value, "x")


def test_a_bare_state_dict_is_a_model(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "bare.pth")
    assert read_checkpoint(tmp_path / "bare.pth")["model"]["w"].tolist() == [1, 1]


def test_a_state_dict_under_its_own_name_is_a_model(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": torch.ones(2)}, "meta": {"a": 1}}, tmp_path / "other.pth")
    content = read_checkpoint(tmp_path / "other.pth")
    assert content["model"]["w"].tolist() == [1, 1] and content["meta"] == {"a": 1}


def test_a_look_at_the_metadata_reads_the_same(tmp_path: Path) -> None:
    torch.save({"model": {"w": torch.ones(2)}, "metadata": {"a": 1}}, tmp_path / "m.pth")
    assert read_checkpoint(tmp_path / "m.pth", only_look=True)["metadata"] == {"a": 1}


@pytest.mark.parametrize("metadata", [None, "text", [1]])
def test_metadata_of_another_kind_are_left_out(tmp_path: Path, metadata: object) -> None:
    torch.save({"model": {"w": torch.ones(2)}, "metadata": metadata}, tmp_path / "m.pth")
    assert read_checkpoint(tmp_path / "m.pth").keys() == {"model"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"model": {"w": Foreign()}}, "not a readable checkpoint"),
        ({"model": {}}, "holds no model weights"),
        ({"epoch": 3}, "holds no model weights"),
        ([torch.ones(1)], "holds no model weights"),
    ],
)
def test_a_foreign_file_is_a_sentence(tmp_path: Path, content: object, reason: str) -> None:
    torch.save(content, tmp_path / "foreign.pth")
    with pytest.raises(UserError, match=reason):
        read_checkpoint(tmp_path / "foreign.pth")


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1\n")
    with pytest.raises(UserError, match=r"model.pth is not .*a pointer of Git LFS, .*git lfs pull"):
        read_checkpoint(path)


@pytest.mark.parametrize("only_look", [False, True])
@pytest.mark.parametrize("size", [0, 10, 500, -1])
def test_a_truncated_file_is_a_sentence(tmp_path: Path, size: int, only_look: bool) -> None:
    path = tmp_path / "cut.pth"
    torch.save({"model": {"w": torch.ones(100)}}, path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match=r"cut.pth is not a readable checkpoint"):
        read_checkpoint(path, only_look=only_look)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.pth does not exist"):
        read_checkpoint(tmp_path / "none.pth")


class Evil:
    """Loading it without care opens a file for writing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (str(self.path), "w")


def test_no_code_of_a_file_is_run(tmp_path: Path) -> None:
    torch.save({"model": {"w": Evil(tmp_path / "proof")}}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match="not a readable checkpoint"):
        read_checkpoint(tmp_path / "evil.pth")
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize(
    "kind", ["bool_", "int8", "int16", "uint32", "int64", "float16", "float32", "float64"]
)
def test_numpys_numbers_become_pythons(kind: str, tmp_path: Path) -> None:
    number = getattr(np, kind)(1)
    torch.save({"model": {"w": torch.ones(1)}, "best": {"AP": number}}, tmp_path / "a.pth")
    found = read_checkpoint(tmp_path / "a.pth")["best"]["AP"]
    assert found == 1 and type(found) is type(number.item())


@pytest.mark.parametrize(
    ("names", "right"),
    [
        (["module.a", "module.b.c"], ["a", "b.c"]),
        (["_orig_mod.a", "_orig_mod.b"], ["a", "b"]),
        (["module._orig_mod.module.a"], ["a"]),
        (["a", "encoder._orig_mod.b"], ["a", "encoder.b"]),
        (["module.a", "b"], ["module.a", "b"]),
    ],
)
def test_the_prefixes_of_wrappers_are_left_out(
    names: list[str], right: list[str], tmp_path: Path
) -> None:
    torch.save({"model": {name: torch.ones(1) for name in names}}, tmp_path / "a.pth")
    assert list(read_checkpoint(tmp_path / "a.pth")["model"]) == right
