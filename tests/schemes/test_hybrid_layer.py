"""The hybrid layer: every layer is matched and divided in its own way."""

import pytest

from hdetr_d2.schemes import HybridLayer


def node(num_layers):
    return {
        "_target_": "hdetr_d2.schemes.HybridLayer",
        "repeats": 5,
        "num_layers": num_layers,
    }


@pytest.mark.parametrize("counts", [[2, 1], [3, 0], [0, 0]])
def test_the_first_layers_repeat(tiny_model, make_batch, train_step, summed_distances, counts):
    losses, groups = train_step(tiny_model(schemes=[node(1)]), make_batch(counts))
    found = (groups[""].assignment >= 0).sum(-1).tolist()
    assert found == [[min(5 * count, 12) for count in counts], counts, counts]
    layers = zip(["_0", "_1", ""], (5, 1, 1), summed_distances(groups[""]), strict=True)
    for layer, repeats, distance in layers:
        expected = 5 * distance / max(1, repeats * sum(counts))
        assert losses[f"loss_bbox{layer}"].item() == pytest.approx(expected, rel=1e-5)


def test_the_last_layer_is_always_one_to_one():
    scheme = HybridLayer(repeats=5, num_layers=4)
    assert [scheme.capacity(layer, 6, 0.0) for layer in range(6)] == [5, 5, 5, 5, 1, 1]
    assert [scheme.capacity(layer, 3, 0.0) for layer in range(3)] == [5, 5, 1]
    assert scheme.capacity(0, 1, 0.0) == 1
