"""Parameter groups: which parameters train at which learning rate."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from hdetr_d2.errors import UserError

RULE_KEYS = {"pattern", "lr_scale", "weight_decay", "layer_decay"}
_LAYER = r"(\d+)"


def param_groups(
    model: nn.Module, *, lr: float, weight_decay: float, rules: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """The parameter groups of an optimizer, without frozen parameters.

    Args:
        lr, weight_decay: used for every parameter that no rule matches, including norms and biases.
        rules: mappings with `pattern` (a regular expression, searched for in the parameter's name)
            and `lr_scale` (a factor on `lr`), `weight_decay`, or both. The first matching rule
            applies. With `layer_decay`, (\\d+) in the pattern is the index of a layer: the rate of
            the last layer is multiplied by that factor once, that of each earlier layer once more
            than the next.

    Raises:
        UserError: a rule matches no parameter, has an unknown key, or has `layer_decay` without
            layers; or every parameter is frozen.
    """
    rules = [_checked(rule) for rule in rules]
    names = [name for name, _ in model.named_parameters()]
    for rule in rules:
        if not any(re.search(rule["pattern"], name) for name in names):
            raise UserError(
                f"optimizer.params.rules: no parameter of the model matches {rule['pattern']!r}"
            )
    rules = [part for rule in rules for part in _each_layer(rule, names)]
    members = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            members[_first_match(rules, name)].append(parameter)
    if not members:
        raise UserError("every parameter of the model is frozen: there is nothing to train")
    return [
        {
            "params": members[index],
            "lr": lr * rule.get("lr_scale", 1.0),
            "weight_decay": rule.get("weight_decay", weight_decay),
        }
        for index, rule in enumerate([*rules, {}])
        if index in members
    ]


def _checked(rule: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(rule) - RULE_KEYS)
    if unknown or "pattern" not in rule:
        raise UserError(
            f"optimizer.params.rules: {dict(rule)} needs the key 'pattern' and may have "
            f"{sorted(RULE_KEYS - {'pattern'})}"
        )
    return dict(rule)


def _each_layer(rule: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """One rule per layer in place of a rule with `layer_decay`; other rules are unchanged."""
    if "layer_decay" not in rule:
        return [dict(rule)]
    pattern, scale = rule["pattern"], rule.get("lr_scale", 1.0)
    if _LAYER not in pattern:
        raise UserError(f"optimizer.params.rules: {pattern!r} has a layer_decay, but no {_LAYER}")
    found = [match for name in names if (match := re.search(pattern, name))]
    last = max(int(match[1]) for match in found)
    return [
        {
            **rule,
            "layer": layer,
            "lr_scale": scale * rule["layer_decay"] ** (last + 1 - layer),
        }
        for layer in sorted({int(match[1]) for match in found})
    ]


def _first_match(rules: Sequence[Mapping[str, Any]], name: str) -> int:
    """Index of the first rule that matches the parameter; `len(rules)` if none does."""
    return next((i for i, rule in enumerate(rules) if _matches(rule, name)), len(rules))


def _matches(rule: Mapping[str, Any], name: str) -> bool:
    match = re.search(rule["pattern"], name)
    return match is not None and ("layer" not in rule or int(match[1]) == rule["layer"])


class OptimizerState:
    """The part of an optimizer that is restored from a checkpoint: its running averages. Its
    options come from the config.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def state_dict(self) -> dict[str, Any]:
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ValueError if the parameter groups differ in number or size."""
        built = [
            {key: value for key, value in group.items() if key != "params"}
            for group in self.optimizer.param_groups
        ]
        self.optimizer.load_state_dict(state)
        # The saved rate is the rate at that iteration; the schedule needs the base rate.
        for group, options in zip(self.optimizer.param_groups, built, strict=True):
            group.update(options)
