from pathlib import Path

import pytest
import torch
import yaml
from detectron2.structures import Boxes, Instances
from PIL import Image
from torch import nn

from hdetr_d2.data.images import BadImageError
from hdetr_d2.data.mapper import DetrMapper
from hdetr_d2.errors import UserError
from hdetr_d2.inference import Predictor
from hdetr_d2.inference.predictor import shapes_of
from hdetr_d2.visualization import Shapes

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
    predictor = Predictor.from_checkpoint(checkpoint(tmp_path / "model.pth"), "cpu")
    assert isinstance(predictor.model, nn.Linear)
    assert predictor.model.weight.tolist() == [[1, 1]] * 3
    assert not predictor.model.training
    assert predictor.class_names == ("a", "b", "c")
    assert isinstance(predictor.mapper, DetrMapper)


def test_averaged_weights_are_preferred(tmp_path: Path) -> None:
    average = {"module.weight": torch.full((3, 2), 7.0), "module.bias": torch.zeros(3)}
    path = checkpoint(tmp_path / "model.pth", ema=average)
    assert Predictor.from_checkpoint(path, "cpu").model.weight.unique().tolist() == [7]


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
        Predictor.from_checkpoint(path, "cpu")
    assert "odd.pth" in str(caught.value)


def test_a_class_of_a_trusted_package_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "packagey.py").write_text("from torch.nn import Linear\nclass Mine(Linear): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    node = {**CONFIG["model"], "_target_": "packagey.Mine"}
    path = checkpoint(tmp_path / "mine.pth", {**CONFIG, "model": node})
    with pytest.raises(UserError, match="--trust packagey"):
        Predictor.from_checkpoint(path, "cpu")
    assert type(Predictor.from_checkpoint(path, "cpu", "packagey").model).__name__ == "Mine"


def test_a_file_of_bare_weights_is_no_checkpoint_of_ours(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1)}, tmp_path / "bare.pth")
    with pytest.raises(UserError, match=r"bare.pth .*train_net.py wrote"):
        Predictor.from_checkpoint(tmp_path / "bare.pth", "cpu")


def test_images_come_in_order_and_in_batches_with_the_broken_ones_named(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for i in (0, 2, 3):
        Image.new("RGB", (10 + i, 20)).save(paths[i])
    paths[1].write_bytes(b"no image")
    mapper = DetrMapper(is_train=False)
    predictor = Predictor(model=Finder(), mapper=mapper, class_names=["a", "b", "c"])
    found = list(predictor(paths, batch_size=3))
    assert [path for path, _ in found] == paths
    assert isinstance(found[1][1], BadImageError)
    assert "1.png" in str(found[1][1])
    shapes = [item for _, item in found if isinstance(item, Shapes)]
    assert [item.boxes.tolist() for item in shapes] == [[[0, 0, w, 20]] for w in (10, 12, 13)]
    assert [item.classes.tolist() for item in shapes] == [[2], [2], [1]]


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


def test_no_images_give_nothing() -> None:
    predictor = Predictor(model=Finder(), mapper=DetrMapper(is_train=False), class_names=[])
    assert list(predictor([], batch_size=2)) == []
