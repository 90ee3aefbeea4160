import io
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from detectron2.structures import Boxes, Instances
from PIL import Image
from torch import nn

from hdetr_d2.commands import contact_sheet
from hdetr_d2.commands import predict as predict_command
from hdetr_d2.data.mapper import DetrMapper
from hdetr_d2.errors import UserError
from hdetr_d2.inference import Predictor, predict
from hdetr_d2.inference.loading import shapes_of
from hdetr_d2.pixels.images import BadImageError
from hdetr_d2.runtime.predictor import Seen

CONFIG = {
    "size": 2,
    "model": {"_target_": "torch.nn.Linear", "in_features": "${size}", "out_features": 3},
    "dataloader": {
        "test": {"mapper": {"_target_": "hdetr_d2.data.mapper.DetrMapper", "is_train": False}}
    },
}


class Finder(nn.Module):
    """Finds one object in each image: the whole of it, with the batch's size as its class."""

    def forward(self, batch: list[dict]) -> list[dict]:
        outputs = []
        for item in batch:
            height, width = item["height"], item["width"]
            found = Instances((height, width))
            found.pred_boxes = Boxes(torch.tensor([[0.0, 0.0, width, height]]))
            found.scores = torch.tensor([0.5])
            found.pred_classes = torch.tensor([len(batch)])
            outputs.append({"instances": found})
        return outputs


def checkpoint(path: Path, config: object = CONFIG, **content: object) -> Path:
    weights = {"weight": torch.ones(3, 2), "bias": torch.zeros(3)}
    metadata = {"config": yaml.safe_dump(config), "class_names": ["a", "b", "c"]}
    torch.save({"model": weights, "metadata": metadata} | content, path)
    return path


def test_the_model_of_the_config_gets_the_weights_of_the_file(tmp_path: Path) -> None:
    predictor = Predictor(checkpoint(tmp_path / "model.pth"), device="cpu")
    assert isinstance(predictor.detector.model, nn.Linear)
    assert predictor.detector.model.weight.tolist() == [[1, 1]] * 3
    assert not predictor.detector.model.training
    assert predictor.class_names == ("a", "b", "c")
    assert isinstance(predictor.detector.mapper, DetrMapper)


def test_averaged_weights_are_preferred(tmp_path: Path) -> None:
    average = {"module.weight": torch.full((3, 2), 7.0), "module.bias": torch.zeros(3)}
    path = checkpoint(tmp_path / "model.pth", ema=average)
    assert Predictor(path, device="cpu").detector.model.weight.unique().tolist() == [7]


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"model": {"_target_": "os.system"}, "dataloader": CONFIG["dataloader"]}, "asks for 'os"),
        ({"dataloader": CONFIG["dataloader"]}, "cannot be read"),
        (CONFIG | {"model": {"_target_": "torch.nn.Linear", "in_features": "${none}"}}, "none"),
        (CONFIG | {"size": 5}, "do not fit the model"),
        (CONFIG | {"size": "x"}, "cannot be built here"),
    ],
)
def test_a_config_that_cannot_be_used_is_said(tmp_path: Path, config: dict, sentence: str) -> None:
    path = checkpoint(tmp_path / "odd.pth", config)
    with pytest.raises(UserError, match=sentence) as caught:
        Predictor(path, device="cpu")
    assert "odd.pth" in str(caught.value)


def test_a_class_of_a_trusted_package_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "packagey.py").write_text("from torch.nn import Linear\nclass Mine(Linear): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    node = {**CONFIG["model"], "_target_": "packagey.Mine"}
    path = checkpoint(tmp_path / "mine.pth", {**CONFIG, "model": node})
    with pytest.raises(UserError, match="--trust packagey"):
        Predictor(path, device="cpu")
    assert type(Predictor(path, device="cpu", trust="packagey").detector.model).__name__ == "Mine"


def test_a_file_of_bare_weights_is_no_checkpoint_of_ours(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1)}, tmp_path / "bare.pth")
    with pytest.raises(UserError, match=r"bare.pth .*train_net.py wrote"):
        Predictor(tmp_path / "bare.pth", device="cpu")


@pytest.fixture
def finder(tmp_path: Path) -> Predictor:
    predictor = Predictor(checkpoint(tmp_path / "finder.pth"), device="cpu")
    predictor.detector.model = Finder()
    return predictor


def test_images_come_in_order_and_in_batches_with_the_broken_ones_named(
    finder: Predictor, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for i in (0, 2, 3):
        Image.new("RGB", (10 + i, 20)).save(paths[i])
    paths[1].write_bytes(b"no image")
    found = list(finder.detect(paths, batch_size=3))
    assert isinstance(found[1], BadImageError)
    assert "1.png" in str(found[1])
    seen = [each for each in found if isinstance(each, Seen)]
    assert [each.image for each in seen] == [paths[i] for i in (0, 2, 3)]
    assert [each.pixels.shape for each in seen] == [(20, w, 3) for w in (10, 12, 13)]
    shapes = [each.shapes for each in seen]
    assert [item.boxes.tolist() for item in shapes] == [[[0, 0, w, 20]] for w in (10, 12, 13)]
    assert [item.classes.tolist() for item in shapes] == [[2], [2], [1]]


def test_files_arrays_and_images_of_pillow_in_one_list(finder: Predictor, tmp_path: Path) -> None:
    Image.new("RGB", (12, 20)).save(tmp_path / "a.png")
    images = [np.zeros((5, 6, 3), np.uint8), Image.new("L", (7, 8)), str(tmp_path / "a.png")]
    found = finder(images, batch_size=2)
    assert [result["image_id"] for result in found] == [1, 2, 3]
    assert [result["file_name"] for result in found] == [None, None, str(tmp_path / "a.png")]
    assert [result["bbox"] for result in found] == [[0, 0, 6, 5], [0, 0, 7, 8], [0, 0, 12, 20]]
    assert [result["category_name"] for result in found] == ["c", "c", "b"]
    assert finder(images[0])[0]["bbox"] == finder(iter(images))[0]["bbox"]
    assert finder(images, score_threshold=0.6) == []


def test_an_array_gives_what_its_file_gives(tmp_path: Path) -> None:
    """The model sees the same pixels, upright and in RGB."""
    predictor = Predictor(checkpoint(tmp_path / "model.pth"), device="cpu")
    pixels = np.random.randint(0, 256, (6, 4, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    seen: list[torch.Tensor] = []
    predictor.detector.model = lambda batch: (
        seen.extend(item["image"] for item in batch) or Finder()(batch)
    )
    with Image.open(tmp_path / "turned.png") as opened:
        predictor([tmp_path / "turned.png", opened, np.rot90(pixels, -1), pixels[..., ::-1]])
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[3], torch.from_numpy(pixels).permute(2, 0, 1).flip(0))


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.zeros((4, 4, 3), np.float32), r"float32 \[4, 4, 3\] is no image"),
        (np.zeros((4, 4), np.float32), "floating-point pixels"),
        (np.zeros((3, 4, 5), np.uint8), r"uint8 \[3, 4, 5\] is no image"),
        (np.zeros((0, 4, 3), np.uint8), r"uint8 \[0, 4, 3\] is no image"),
        (np.zeros((1, 4, 4, 3), np.uint8), "is no image"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), "Tensor is no image"),
        ([None], "NoneType is no image"),
        (None, "NoneType is no image"),
        (7, "int is no image"),
        (bytearray(4), "bytearray is no image"),
        (memoryview(b"four"), "memoryview is no image"),
        (io.BytesIO(b"two\nlines"), "BytesIO is no image: give the path or the bytes of a file"),
        ({"image": np.zeros((4, 4, 3), np.uint8)}, "dict is no image"),
        ("gone.png", "gone.png does not exist"),
    ],
)
def test_what_is_no_image_is_one_sentence(finder: Predictor, image: object, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        finder(image)


def test_the_best_come_first_whatever_the_order_of_the_detector() -> None:
    found = Instances((4, 4))
    found.scores = torch.tensor([0.2, 0.9, 0.5, 0.9])
    found.pred_classes = torch.tensor([0, 1, 2, 3])
    found.pred_boxes = Boxes(torch.arange(4.0)[:, None].expand(4, 4))
    found.pred_masks = torch.eye(4, dtype=torch.bool)[:, None]
    shapes = shapes_of(found)
    assert shapes.classes.tolist() == [1, 3, 2, 0]
    assert shapes.boxes[:, 0].tolist() == [1, 3, 2, 0]
    assert shapes.masks is not None
    assert shapes.masks[:, 0].int().argmax(1).tolist() == [1, 3, 2, 0]
    assert len(shapes_of(found[:0])) == 0


def test_no_images_give_nothing(finder: Predictor) -> None:
    assert list(finder.detect([], batch_size=2)) == []
    assert finder([]) == []


def test_a_batch_of_nothing_is_a_sentence(finder: Predictor) -> None:
    with pytest.raises(UserError, match="batch_size=0 must be at least 1"):
        finder([], batch_size=0)


@pytest.mark.parametrize("batch_size", [2.5, "2", None])
def test_a_batch_is_a_whole_number(finder: Predictor, batch_size: Any) -> None:
    """Batches of 2.5 would never be full: all images would make one."""
    with pytest.raises(UserError, match=rf"batch_size={batch_size!r} must be a whole number"):
        finder(np.zeros((4, 4, 3), np.uint8), batch_size=batch_size)


@pytest.mark.parametrize("threshold", ["0.5", None])
def test_a_threshold_is_a_number(finder: Predictor, threshold: Any) -> None:
    with pytest.raises(UserError, match=f"score_threshold={threshold!r} must be a number from 0"):
        finder(np.zeros((4, 4, 3), np.uint8), score_threshold=threshold)


@pytest.mark.parametrize(
    ("threshold", "sentence"),
    [
        (50, "score_threshold=50 must be from 0 to 1; for 50 percent write 0.5"),
        (1.01, "score_threshold=1.01 must be"),
        (-0.1, "score_threshold=-0.1 must be from 0 to 1$"),
        (float("nan"), "score_threshold=nan must be from 0 to 1$"),
        (float("inf"), "score_threshold=inf must be from 0 to 1"),
    ],
)
def test_a_threshold_that_no_score_is(finder: Predictor, threshold: float, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        finder([], score_threshold=threshold)
    with pytest.raises(UserError, match=sentence):  # before anything is looked at
        predict("missing.pth", "missing.png", score_threshold=threshold)


@pytest.mark.parametrize("threshold", ["50", "nan"])
@pytest.mark.parametrize(
    ("command", "arguments"),
    [(predict_command, ["missing.pth", "missing.png"]), (contact_sheet, ["missing"])],
    ids=["predict", "contact-sheet"],
)
def test_commands_refuse_such_a_threshold(
    command: ModuleType, arguments: list[str], threshold: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main([*arguments, "--score-threshold", threshold])
    assert stop.value.code == 2
    assert f"error: score_threshold={threshold} must be from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize("threshold", [0, 1])
def test_both_ends_are_thresholds(finder: Predictor, threshold: float) -> None:
    assert finder([], score_threshold=threshold) == []
