"""Branches of low rank: beside each other, and what the layers' own weights learn by them."""

from pathlib import Path

import torch
from detectron2.config import LazyConfig

COMMON = Path(__file__).parents[2] / "configs" / "common"
BRANCHES = LazyConfig.load(str(COMMON / "low_rank_branches.py"))
BRANCHES = list(BRANCHES.low_rank_branches.values())
GRADED = {"_target_": "hdetr_d2.losses.GradedLoss"}


def model_of(tiny_model, **changes):
    return tiny_model(criterion__class_loss=GRADED, schemes=BRANCHES, **changes)


def test_three_branches_differ_in_how_many_queries_a_target_takes(tiny_model, make_batch):
    model, taken = model_of(tiny_model), {}

    def remember(_, args):
        output, learned, _ = args
        if output.group.name.startswith("low_rank"):
            taken[output.group.name] = (output.group.weight, learned.queries.shape[3])

    model.criterion.register_forward_pre_hook(remember)
    model(make_batch([3, 0]))
    assert taken == {f"low_rank_k{topk}": (1 / 3, topk) for topk in (6, 4, 2)}


def test_the_layers_own_weights_learn_by_a_branch(tiny_model, make_batch):
    model = model_of(tiny_model)
    losses = model(make_batch([3, 1]))
    losses["loss_class_low_rank_k2_0"].backward()
    layer, branch = model.decoder.layers[0], model.schemes[2]
    own = [layer.feed_forward.linear1.weight, layer.feed_forward.linear2.weight]
    thin = [*branch.to_hidden[0].parameters(), *branch.from_hidden[0].parameters()]
    assert all(weight.grad.any() for weight in own + thin)
    others = [*model.schemes[0].parameters(), *branch.to_hidden[1].parameters()]
    assert not any(p.grad is not None and p.grad.any() for p in others)


def test_without_additions_it_is_what_the_layer_says(tiny_model, make_batch):
    model, outputs = model_of(tiny_model, encoder__sizes__dropout=0.0), {}
    for branch in model.schemes:
        for part in branch.parameters():
            torch.nn.init.zeros_(part)
    model.criterion.register_forward_pre_hook(
        lambda _, args: outputs.update({args[0].group.name: args[0].predictions})
    )
    model(make_batch([2, 1]))
    for name in ("low_rank_k6", "low_rank_k2"):
        torch.testing.assert_close(outputs[name].logits, outputs[""].logits)
        torch.testing.assert_close(outputs[name].boxes, outputs[""].boxes)
