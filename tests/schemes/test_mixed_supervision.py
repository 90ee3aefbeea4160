"""Mixed supervision: which queries learn what, and what is left at inference."""

import pytest
import torch

from hdetr_d2.structures import Step

NODE = {
    "_target_": "hdetr_d2.schemes.MixedSupervision",
    "num_layers": 3,
    "assigner": {"_target_": "hdetr_d2.matching.TopKByScore", "topk": 4, "cap": 1.0},
    "sizes": "${model.decoder.sizes}",
    "weight": 0.5,
}
CROSS_FIRST = {"_target_": "hdetr_d2.modeling.CrossFirst"}
KINDS = ("class", "bbox", "giou")


@pytest.mark.parametrize("counts", [[3, 1], [2, 0], [0, 0]])
def test_a_target_takes_several_of_the_main_queries(tiny_model, make_batch, counts):
    model, outputs = tiny_model(schemes=[NODE], decoder__order=CROSS_FIRST), {}
    model.criterion.register_forward_pre_hook(
        lambda _, args: outputs.update({args[0].group.name: args})
    )
    losses = model(make_batch(counts))
    output, pairs, step = outputs["mixed"]
    assert output.predictions.boxes.shape == outputs[""][0].predictions.boxes.shape
    taken = (pairs.queries >= 0).sum((2, 3))
    assert (taken <= 4 * torch.tensor(counts)).all()
    assert taken.sum() >= 3 * sum(counts > 0 for counts in counts)
    rows = torch.where(pairs.queries >= 0, 1, 0).flatten(2)
    boxes = output.predictions.boxes.gather(
        2, pairs.queries.clamp(min=0).flatten(2)[..., None].expand(-1, -1, -1, 4)
    )
    truth = output.targets.boxes.repeat_interleave(pairs.queries.shape[3], 1)
    expected = 0.5 * 5 * ((boxes - truth).abs().sum(-1) * rows).sum((1, 2)) / max(1, sum(counts))
    got = torch.stack([losses[f"loss_bbox_mixed{end}"] for end in ("_0", "_1", "")])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_the_main_losses_do_not_change(tiny_model, make_batch):
    plain, mixed = tiny_model(schemes=[]), tiny_model(schemes=[NODE])
    mixed.load_state_dict(plain.state_dict(), strict=False)
    both = mixed(make_batch([3, 1]))
    for name, loss in plain(make_batch([3, 1])).items():
        assert torch.equal(both[name], loss)


def test_parts_of_a_step_have_the_losses_of_the_whole(tiny_model, make_batch):
    model, batch = tiny_model(schemes=[NODE]), make_batch([3, 1])
    parts = [model([item], Step(torch.tensor(4.0), share=0.5)) for item in batch]
    for name, loss in model(batch).items():
        torch.testing.assert_close(sum(part[name] for part in parts), loss, rtol=1e-4, atol=1e-5)


def test_without_halves_of_its_own_it_has_no_parameters(tiny_model, make_batch):
    model = tiny_model(schemes=[{**NODE, "sizes": None}])
    assert not [name for name, _ in model.named_parameters() if name.startswith("schemes")]
    assert model(make_batch([1, 2]))["loss_class_mixed"] > 0


def test_a_class_weight_of_the_main_group_alone(tiny_model, make_batch):
    whole = tiny_model(schemes=[NODE])(make_batch([2, 1]))
    half = tiny_model(schemes=[NODE], criterion__weights_of={"main": {"class": 1.0}})
    for name, loss in half(make_batch([2, 1])).items():
        factor = 0.5 if name in ("loss_class", "loss_class_0", "loss_class_1") else 1
        assert torch.equal(loss, factor * whole[name])


def test_weights_that_are_none(tiny_model):
    with pytest.raises(Exception, match=r"cannot name \['box'\], only \['bbox', 'class', 'giou'\]"):
        tiny_model(criterion__weights_of={"main": {"box": 1.0}})
