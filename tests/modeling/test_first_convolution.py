"""Weights of red, green and blue begin a model of other channels."""

import logging
from pathlib import Path

import pytest
import timm
import torch

from hdetr_d2.checkpoint import Checkpointer
from hdetr_d2.errors import UserError
from hdetr_d2.modeling import TimmBackbone
from hdetr_d2.modeling.backbone.first_convolution import with_channels

COLOURS = torch.tensor([1.0, 10.0, 100.0])[None, :, None, None].expand(2, 3, 1, 1)


@pytest.mark.parametrize(
    ("channels", "expected"),
    [(1, [111.0]), (2, [1.5, 15.0]), (5, [0.6, 6.0, 60.0, 0.6, 6.0]), (3, [1.0, 10.0, 100.0])],
)
def test_colours_are_repeated_and_an_even_image_gives_the_same(
    channels: int, expected: list[float]
) -> None:
    own = {"a": torch.zeros(2, channels, 1, 1)}
    found = with_channels({"a": COLOURS}, own, "file")["a"]
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor(expected))


def test_all_else_stays() -> None:
    own = {"a": torch.zeros(2, 5, 3, 3), "b": torch.zeros(4, 6, 1, 1), "c": torch.zeros(7)}
    weights = {"a": COLOURS, "b": torch.ones(4, 6, 1, 1), "c": torch.ones(7), "d": COLOURS}
    found = with_channels(weights, own, "file")
    assert all(found[name] is weights[name] for name in weights)


def test_a_file_of_weights_fits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = str(tmp_path / "a.pth")
    state = timm.create_model("resnet10t").state_dict()
    torch.save(state, path)
    five = {"name": "resnet10t", "pretrained": path, "in_chans": 5}
    with caplog.at_level(logging.WARNING):
        backbone = TimmBackbone(**five)
    stem = state["conv1.0.weight"]
    torch.testing.assert_close(
        dict(backbone.net.named_parameters())["conv1.0.weight"], stem[:, [0, 1, 2, 0, 1]] * 0.6
    )
    assert (
        f"{path}: conv1.0.weight knows red, green and blue; 5 channel(s) begin with these in turn, "
        "scaled by 3/5" in caplog.text
    )
    with pytest.raises(UserError, match=r"model.backbone.frozen=1 would keep .*frozen=0"):
        TimmBackbone(**five, frozen=1)
    TimmBackbone(name="resnet10t", pretrained=path, frozen=1)


def test_a_checkpoint_of_ours_begins_a_model_of_five_channels(tiny_model, tmp_path: Path) -> None:
    rgb = tiny_model()
    torch.save({"model": rgb.state_dict()}, tmp_path / "rgb.pth")
    preprocessing = {"preprocessing__pixel_mean": [0.0] * 5, "preprocessing__pixel_std": [1.0] * 5}
    five = tiny_model(backbone__in_chans=5, **preprocessing)
    (name,) = (n for n, p in five.named_parameters() if p.ndim == 4 and p.shape[1] == 5)
    Checkpointer(five).load(str(tmp_path / "rgb.pth"), checkpointables=[])
    torch.testing.assert_close(
        five.get_parameter(name), rgb.get_parameter(name)[:, [0, 1, 2, 0, 1]] * 0.6
    )
    frozen = tiny_model(backbone__in_chans=5, freeze=["backbone"], **preprocessing)
    with pytest.raises(UserError, match="model.freeze, would keep backbone"):
        Checkpointer(frozen).load(str(tmp_path / "rgb.pth"), checkpointables=[])
