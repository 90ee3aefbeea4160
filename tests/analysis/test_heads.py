"""Heads of a small model: the decoder, and one that a scheme brings."""

from collections.abc import Callable, Mapping

import pytest
import torch
from detectron2.structures import Boxes, Instances
from torch import nn

from hdetr_d2.analysis import heads_of, study_heads
from hdetr_d2.analysis.heads import DECODER, look_with
from hdetr_d2.schemes import Scheme
from hdetr_d2.structures import ImageMaps


class ChannelHead(Scheme):
    """Finds an object in every cell of the finest level, as sure as one channel of it is high."""

    name = "channels"

    def __init__(self, channel: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.channel = channel

    def detectors(self) -> Mapping[str, Callable[[ImageMaps], list[Instances]]]:
        return {"channel": self.detect}

    def detect(self, maps: ImageMaps) -> list[Instances]:
        scores = self.weight * maps.memory.maps()[0][0, self.channel].flatten()
        boxes = Boxes(scores.new_zeros(len(scores), 4))
        return [Instances(maps.frames[0], pred_boxes=boxes, scores=scores)]


@pytest.fixture
def model(tiny_model):
    model = tiny_model().eval()
    model.schemes = nn.ModuleList([ChannelHead()])
    return model


def test_heads_of_a_model(model, tiny_model) -> None:
    assert list(heads_of(model)) == [DECODER, "channel"]
    assert list(heads_of(tiny_model())) == [DECODER]


def test_a_head_of_one_channel_answers_to_that_channel(model, make_batch) -> None:
    (item,) = make_batch([2], size=(64, 96))
    found = look_with(model, item, heads_of(model))
    assert {name: tuple(scores.shape) for name, scores in found.items()} == {
        DECODER: (64, 96),
        "channel": (64, 96),
    }
    images = model.preprocessing([item["image"]])
    memory = model.encoder(model.neck(model.backbone(images.tensor)), images.padding)
    channel = memory.maps()[0][0, 0].clamp(min=0)
    resized = nn.functional.interpolate(channel[None, None], (64, 96), mode="bilinear")[0, 0]
    levels = len(memory.shapes)  # the others have no activation
    torch.testing.assert_close(found["channel"], resized / channel.max() / levels)
    assert found[DECODER].any()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_distances_over_images(model, make_batch) -> None:
    items, heads = make_batch([1, 2]), heads_of(model)
    found = study_heads(model, lambda item: item, items, heads)
    assert found.names == [DECODER, "channel"]
    alone = [study_heads(model, lambda item: item, [item], heads) for item in items]
    for kind in ("kl", "l2"):
        matrix = getattr(found, kind)
        assert matrix.shape == (2, 2)
        assert matrix.diagonal().tolist() == [0, 0]
        assert matrix[0, 1] > 0 and matrix[1, 0] > 0
        torch.testing.assert_close(matrix, sum(getattr(each, kind) for each in alone) / 2)
    torch.testing.assert_close(found.means, found.kl.sum().expand(2) / 2)


def test_a_head_is_at_no_distance_from_itself(model, make_batch) -> None:
    heads = {name: heads_of(model)["channel"] for name in ("one", "other")}
    found = study_heads(model, lambda item: item, make_batch([1]), heads)
    assert not found.kl.any() and not found.l2.any()
