"""Which attention comes first in a decoder layer."""

from functools import partial

import pytest
import torch

from hdetr_d2.layers import Layout, Span

SELF, CROSS = "self_attention", "cross_attention"
ROW = Layout([Span(1, 1)])
CROSS_FIRST = {"_target_": "hdetr_d2.modeling.CrossFirst"}


@pytest.mark.parametrize("path", ["common/models/deformable_detr_pp.py", "common/models/detr.py"])
def test_steps_stand_in_the_order_that_is_asked_for(tiny_model, make_batch, path):
    assert steps(tiny_model(path), make_batch) == [SELF, CROSS, "feed_forward"] * 3
    cross_first = tiny_model(path, decoder__order=CROSS_FIRST)
    assert steps(cross_first, make_batch) == [CROSS, SELF, "feed_forward"] * 3


def steps(model, make_batch):
    """The parts of the decoder's layers, in the order in which they are called."""
    names = list[str]()
    for layer in model.decoder.layers:
        for name in (SELF, CROSS, "feed_forward"):
            hook = partial(lambda name, *_: names.append(name), name)
            getattr(layer, name).register_forward_pre_hook(hook)
    memory = model.encode([item["image"] for item in make_batch([1, 1])]).memory
    model.predict(memory)
    return names


def test_a_layer_by_hand(tiny_model):
    """Of one query, which sees itself alone."""
    model = tiny_model(decoder__order=CROSS_FIRST).eval()
    layer = model.decoder.layers[0]
    x, position, found = torch.randn(3, 1, 1, 32)
    layer.attend = lambda query, memory: found if query.equal(x + position) else None
    y = layer.cross_norm(x + found)
    y = layer.self_norm(y + layer.self_attention(y, position, ROW))
    torch.testing.assert_close(layer(x, position, ROW, None), layer.feed_forward(y))


def test_the_parameters_have_the_same_names(tiny_model):
    names = [tiny_model(decoder__order=order).state_dict().keys() for order in (None, CROSS_FIRST)]
    assert names[0] == names[1]
