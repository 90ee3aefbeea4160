"""The two routes of Mr. DETR: what is their own, and what they share."""

import pytest
import torch

from hdetr_d2.schemes import InstructedBranch

BY_SCORE = dict(topk=6, threshold=0.4, iou_weight=0.7, cap=0.25, last_wins=True)
TARGET = "hdetr_d2.schemes."
INSTRUCTED = dict(_target_=f"{TARGET}InstructedBranch", dim=32, num_layers=3, assigner=BY_SCORE)
SEPARATE = dict(
    _target_=f"{TARGET}SeparateBranch", dim=32, hidden_dim=48, num_layers=3, assigner=BY_SCORE
)
MODELS = ["common/models/deformable_detr_pp.py", "common/models/dino.py"]


def step(model, batch):
    """The groups of a step, by name, and its losses."""
    groups: list = []
    with model.decoder.register_forward_pre_hook(lambda _, args: groups.extend(args[0])):
        losses = model(batch)
    return {group.name: group for group in groups}, losses


@pytest.mark.parametrize("path", MODELS)
def test_proposals_are_those_of_heads_that_start_as_the_main_ones(tiny_model, make_batch, path):
    model = tiny_model(path, schemes=[INSTRUCTED])
    own, selection = model.schemes[0].heads, model.query_selection.heads
    for one, other in zip(own.parameters(), selection.parameters(), strict=True):
        assert torch.equal(one, other) and one is not other
    assert own.class_loss is model.criterion.class_loss
    groups, losses = step(model, make_batch([2, 1]))
    main, instructed = groups[""].queries, groups["instructed"].queries
    assert torch.equal(main.reference, instructed.reference)
    assert torch.equal(main.content, instructed.content)
    torch.testing.assert_close(losses["loss_giou_enc"], losses["loss_giou_instructed_enc"])
    with torch.no_grad():
        own.box_heads[0].last.bias.add_(0.5)
    groups, changed = step(model, make_batch([2, 1]))
    assert torch.equal(groups[""].queries.reference, main.reference)
    assert not torch.isclose(groups["instructed"].queries.reference, main.reference).any()
    assert torch.equal(changed["loss_giou_enc"], losses["loss_giou_enc"])
    assert changed["loss_giou_instructed_enc"] != losses["loss_giou_instructed_enc"]


def test_proposals_have_a_weight(tiny_model, make_batch):
    once, thrice = (
        tiny_model(
            schemes=[{**INSTRUCTED, "proposal_weight": weight}],
            query_selection__proposal_weight=2 * weight,
        )(make_batch([2, 1]))
        for weight in (1.0, 3.0)
    )
    for name in ("loss_class_instructed_enc", "loss_class_enc"):
        torch.testing.assert_close(thrice[name], 3 * once[name])
    torch.testing.assert_close(once["loss_giou_enc"], 2 * once["loss_giou_instructed_enc"])
    assert torch.equal(thrice["loss_class_instructed"], once["loss_class_instructed"])


@pytest.mark.parametrize("path", ["common/models/deformable_detr.py", "common/models/detr.py"])
def test_without_proposals_the_main_queries_are_instructed(tiny_model, make_batch, path):
    model = tiny_model(path, schemes=[INSTRUCTED])
    assert model.schemes[0].heads is None
    groups, losses = step(model, make_batch([1, 1]))
    assert groups["instructed"].queries is groups[""].queries
    assert not any("enc" in name for name in losses)


def test_an_image_with_few_tokens_has_few_proposals(tiny_model, make_batch):
    model = tiny_model(schemes=[INSTRUCTED], query_selection__num_queries=300)
    groups, losses = step(model, make_batch([1, 1]))
    number = groups[""].queries.content.shape[1]
    assert groups["instructed"].queries.content.shape[1] == number < 300
    assert all(loss.isfinite() for loss in losses.values())


def test_the_separate_route_has_the_main_queries_and_other_linear_layers(tiny_model, make_batch):
    model = tiny_model(schemes=[SEPARATE])
    calls: list[tuple[str, int]] = []
    layer, linears = model.decoder.layers[1], model.schemes[0].linears[1]
    for name, module in (("shared", layer.feed_forward.linear1), ("own", linears.linear1)):
        module.register_forward_hook(
            lambda _, args, out, name=name: calls.append((name, args[0].shape[1]))
        )
    groups, _ = step(model, make_batch([2, 1]))
    assert groups["separate"].queries is groups[""].queries
    assert sorted(calls) == [("own", 12), ("shared", 12)]


def test_one_token_at_least():
    with pytest.raises(ValueError, match="num_tokens=0 must be at least 1"):
        InstructedBranch(dim=8, num_layers=1, num_tokens=0, assigner=BY_SCORE)


def test_its_proposal_heads_know_objects_not_classes(tiny_model, small_schemes):
    """Where classes get other names, the first row of these stays."""
    model = tiny_model(schemes=[small_schemes["instructed_branch"]])
    keys = model.objectness_keys()
    assert any(key.startswith("schemes.0.") for key in keys)
    assert set(keys) == {k for k in model.class_head_keys() if not k.startswith("decoder.")}
