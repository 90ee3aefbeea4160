"""A model as a folder: what is written is read again, and nothing else is."""

import json
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from hdetr_d2.checkpoint import Checkpointer, read_checkpoint
from hdetr_d2.checkpoint.folder import CLASSES, CONFIG, FILES, WEIGHTS, read_folder, write_folder
from hdetr_d2.errors import UserError

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path, {"w": torch.arange(6.0)}, "a: 1\n", ["cat", "dog"])
    return tmp_path


def bits(value: Tensor) -> bytes:
    return value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def test_every_tensor_comes_back_to_the_bit(tmp_path: Path) -> None:
    weights = {str(dtype): torch.randn(3, 5).mul(9).to(dtype) for dtype in DTYPES}
    odd = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    weights |= {"odd": odd, "scalar": torch.tensor(7), "empty": torch.zeros(0, 4)}
    weights |= {"turned": torch.randn(4, 3).t(), "part": torch.arange(9)[2:5]}
    weights |= {"same": weights["odd"], "bool": torch.tensor([True, False])}
    write_folder(tmp_path, weights, "", [])
    found = read_folder(tmp_path)["model"]
    assert found.keys() == weights.keys()
    for name, value in weights.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape), name
        assert bits(found[name]) == bits(value), name


def test_config_and_names_come_back_as_they_were(tmp_path: Path) -> None:
    config, names = "text: ünï\nnumber: 1.0e-05\n", ["cat", "ein Hündchen", 'a "b"', "", "a\nb"]
    write_folder(tmp_path, {"w": torch.ones(1)}, config, names)
    assert read_folder(tmp_path)["metadata"] == {"config": config, "class_names": names}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    rights = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(rights) == 1


def test_it_is_a_checkpoint_like_others(folder: Path) -> None:
    content = read_checkpoint(folder)
    assert content["model"]["w"].tolist() == [0, 1, 2, 3, 4, 5]
    assert content["metadata"]["class_names"] == ["cat", "dog"]
    model = torch.nn.Linear(2, 2)
    model.class_head_keys = list
    write_folder(folder, {"weight": torch.ones(2, 2), "bias": torch.ones(2)}, "", [])
    Checkpointer(model).load(str(folder), checkpointables=[])
    assert model.weight.tolist() == [[1, 1], [1, 1]]


def test_no_weights_at_all_are_told(tmp_path: Path) -> None:
    write_folder(tmp_path, {}, "", [])
    with pytest.raises(UserError, match="holds no model weights"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_is_named(folder: Path, name: str) -> None:
    (folder / name).rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=f"it lacks {name} \\(pickles are not read"):
        read_checkpoint(folder)


def test_the_folder_of_a_training_is_named(tmp_path: Path) -> None:
    for name in ("model_0000006.pth", "model_final.pth", "model_best.pth"):
        (tmp_path / name).touch()
    with pytest.raises(
        UserError, match=f"is a folder of checkpoints: .*{tmp_path}/model_final.pth"
    ):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("length", [0, 4, 8, 40, -1])
def test_weights_that_are_cut_are_refused(folder: Path, length: int) -> None:
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match=r"model\.safetensors is not a readable .*: it is cut, or"):
        read_folder(folder)


def promising(**tensor: object) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **tensor}})
    return len(header).to_bytes(8, "little") + header.encode() + bytes(8)


def test_a_header_by_hand_is_read() -> None:
    assert safetensors.torch.load(promising())["w"].tolist() == [0, 0]


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"w": [1.0]}),
        promising(shape=[3]),
        promising(shape=[2**62, 4]),
        promising(shape=[-2]),
        promising(data_offsets=[0, 1 << 40]),
        promising(data_offsets=[8, 0]),
        promising(dtype="CODE"),
        (1 << 60).to_bytes(8, "little") + b"{}",
        b"\x02" + bytes(7) + b"[]",
    ],
)
def test_weights_that_are_something_else_are_refused(folder: Path, content: bytes) -> None:
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(UserError, match=r"model\.safetensors is not a readable safetensors file"):
        read_folder(folder)


def test_a_pickle_of_torch_in_its_place_is_not_run(folder: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return open, (str(folder / "run"), "w")

    torch.save({"model": Evil()}, folder / WEIGHTS)
    with pytest.raises(UserError, match="not a readable safetensors file"):
        read_folder(folder)
    assert not (folder / "run").exists()


def test_a_pointer_of_git_lfs_is_told(folder: Path) -> None:
    (folder / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(UserError, match="git lfs pull"):
        read_folder(folder)


@pytest.mark.parametrize("text", ["", "{}", '["a", 1]', '"ab"', "[" * 100_000, "[", b"\xff"])
def test_names_that_are_none_are_refused(folder: Path, text: str | bytes) -> None:
    (folder / CLASSES).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError, match=r"class_names\.json"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &x [1, 1]\nb: [*x, *x]\n", "has aliases"),
        (b"\xff\xfe", "cannot be read"),
        (b"a: \x00", "cannot be read"),
    ],
)
def test_a_config_that_no_run_saves_is_refused(
    folder: Path, text: str | bytes, reason: str
) -> None:
    (folder / CONFIG).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError, match=rf"config\.yaml {reason}"):
        read_folder(folder)
