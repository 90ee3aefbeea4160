import copy

import pytest
import torch
from torch import nn

from hdetr_d2.engine.optim import OptimizerState, param_groups
from hdetr_d2.errors import UserError


def model() -> nn.ModuleDict:
    parts = {
        "backbone": nn.Linear(1, 1),
        "sampling_offsets": nn.Linear(1, 1),
        "head": nn.Linear(1, 1),
    }
    return nn.ModuleDict(parts)


def test_the_first_rule_that_matches_decides_and_the_rest_is_one_group() -> None:
    net = model()
    rules = [
        {"pattern": r"^backbone\.", "lr_scale": 0.1},
        {"pattern": "sampling_offsets|backbone", "lr_scale": 0.5, "weight_decay": 0.0},
    ]
    groups = param_groups(net, lr=2.0, weight_decay=0.3, rules=rules)
    assert [(g["lr"], g["weight_decay"]) for g in groups] == [(0.2, 0.3), (1.0, 0.0), (2.0, 0.3)]
    expected = [net["backbone"], net["sampling_offsets"], net["head"]]
    assert [g["params"] for g in groups] == [list(part.parameters()) for part in expected]


@pytest.mark.parametrize("pattern", [r"^blocks\.(\d+)\.", r"^blocks\.(\d+)", r"(\d+)\.weight"])
def test_a_rate_that_falls_from_layer_to_layer(pattern: str) -> None:
    net = nn.ModuleDict(
        {"stem": nn.Linear(1, 1), "blocks": nn.ModuleList(), "head": nn.Linear(1, 1)}
    )
    net["blocks"].extend(nn.Linear(1, 1, bias=False) for _ in range(12))
    rules = [
        {"pattern": pattern, "layer_decay": 0.5, "weight_decay": 0.1},
        {"pattern": "stem", "lr_scale": 0.5**13},
    ]
    groups = param_groups(net, lr=1.0, weight_decay=0.0, rules=rules)
    rates = [0.5 ** (12 - layer) for layer in range(12)] + [0.5**13, 1.0]
    assert [group["lr"] for group in groups] == rates
    assert [group["params"][0] for group in groups[:12]] == list(net["blocks"].parameters())
    assert {group["weight_decay"] for group in groups[:12]} == {0.1}


def test_frozen_parameters_are_left_out_but_a_rule_may_name_them() -> None:
    net = model()
    net["backbone"].requires_grad_(False)
    groups = param_groups(
        net, lr=1.0, weight_decay=0, rules=[{"pattern": "backbone", "lr_scale": 0.1}]
    )
    assert len(groups) == 1
    assert len(groups[0]["params"]) == 4


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (
            {"pattern": "reference_points", "lr_scale": 0.1},
            "no parameter of the model matches 'ref",
        ),
        ({"pattern": "head", "lr_mult": 0.1}, "may have"),
        ({"lr_scale": 0.1}, "needs the key 'pattern'"),
        ({"pattern": "head", "layer_decay": 0.8}, "'head' has a layer_decay, but no"),
    ],
)
def test_a_rule_that_does_nothing_is_a_sentence(rule: dict, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        param_groups(model(), lr=1.0, weight_decay=0, rules=[rule])


def test_a_frozen_model_is_a_sentence() -> None:
    with pytest.raises(UserError, match="nothing to train"):
        param_groups(model().requires_grad_(False), lr=1.0, weight_decay=0)


@pytest.mark.parametrize("fused", [False, True])
def test_averages_are_loaded_and_options_are_not(fused: bool) -> None:
    net = model()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.5, fused=fused)
    net["head"](torch.ones(1, 1)).sum().backward()
    optimizer.step()
    state = copy.deepcopy(OptimizerState(optimizer).state_dict())

    other = torch.optim.AdamW(net.parameters(), lr=0.1, weight_decay=0.7, fused=fused)
    OptimizerState(other).load_state_dict(state)
    assert (other.param_groups[0]["lr"], other.param_groups[0]["weight_decay"]) == (0.1, 0.7)
    weight = net["head"].weight
    assert torch.equal(other.state[weight]["exp_avg"], optimizer.state[weight]["exp_avg"])
