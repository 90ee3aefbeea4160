import torch

from hdetr_d2.losses import FocalLoss
from hdetr_d2.modeling import PredictionHeads


def test_predictions_keep_their_precision_under_autocast() -> None:
    heads = PredictionHeads(dim=8, num_classes=3, num_layers=2, class_loss=FocalLoss())
    states = torch.randn(2, 5, 8)
    with torch.autocast("cpu", torch.bfloat16):
        predictions = heads(1, states.bfloat16())
    assert [p.shape for p in predictions] == [(2, 5, 3), (2, 5, 4)]
    torch.testing.assert_close(predictions, heads(1, states.bfloat16().float()))


def test_only_the_first_box_head_starts_with_a_size() -> None:
    heads = PredictionHeads(
        dim=8, num_classes=3, num_layers=2, class_loss=FocalLoss(), size_bias=-2.0
    )
    deltas = [heads(layer, torch.randn(1, 1, 8))[1].flatten().tolist() for layer in (0, 1)]
    assert deltas == [[0.0, 0.0, -2.0, -2.0], [0.0, 0.0, 0.0, 0.0]]


def test_without_references_the_first_boxes_differ() -> None:
    heads = PredictionHeads(
        dim=8, num_classes=3, num_layers=2, class_loss=FocalLoss(), shared=True, at_reference=False
    )
    states = torch.randn(1, 2, 8)
    first, last = (heads(layer, states)[1] for layer in (0, 1))
    assert torch.equal(first, last)
    assert (first[0, 0] != first[0, 1]).all()


def test_all_layers_start_with_equal_heads_and_then_learn_their_own() -> None:
    heads = PredictionHeads(dim=8, num_classes=3, num_layers=3, class_loss=FocalLoss())
    for kind in (heads.class_heads, heads.box_heads):
        first, *others = kind
        for other in others:
            pairs = zip(first.parameters(), other.parameters(), strict=True)
            assert all(torch.equal(a, b) and a is not b for a, b in pairs)


def test_starting_as_others_takes_what_has_the_same_form() -> None:
    loss = FocalLoss()
    heads = PredictionHeads(dim=8, num_classes=1, num_layers=2, class_loss=loss)
    kept = heads.class_heads[0].weight.clone()  # of one class, not of three
    other = PredictionHeads(dim=8, num_classes=3, num_layers=1, class_loss=loss)
    heads.start_as(other)
    assert torch.equal(heads.class_heads[0].weight, kept)
    for box_head in heads.box_heads:
        assert torch.equal(box_head[0].weight, other.box_heads[0][0].weight)
