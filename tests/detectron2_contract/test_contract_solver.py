"""Schedules and parameter groups."""

import hdetr_d2  # noqa: F401

import pytest
import torch
from detectron2.solver import LRMultiplier, WarmupParamScheduler, get_default_optimizer_params
from fvcore.common.param_scheduler import (
    ConstantParamScheduler,
    LinearParamScheduler,
    MultiStepParamScheduler,
)
from torch import nn


class TestWarmup:
    def test_linear(self):
        schedule = WarmupParamScheduler(ConstantParamScheduler(2.0), 0.1, 0.5)
        assert schedule(0.0) == pytest.approx(0.2)
        assert schedule(0.25) == pytest.approx(1.1)
        assert schedule(0.75) == 2

    def test_constant(self):
        schedule = WarmupParamScheduler(ConstantParamScheduler(2.0), 0.1, 0.5, "constant")
        assert schedule(0.4) == pytest.approx(0.2)
        assert schedule(0.6) == 2

    def test_aims_at_what_comes_after(self):
        schedule = WarmupParamScheduler(LinearParamScheduler(1.0, 0.0), 0.0, 0.5)
        assert schedule(0.25) == pytest.approx(0.25)
        assert schedule(0.5) == pytest.approx(0.5)

    def test_rescaled(self):
        schedule = WarmupParamScheduler(
            LinearParamScheduler(1.0, 0.0), 0.0, 0.5, rescale_interval=True
        )
        assert schedule(0.25) == pytest.approx(0.5)
        assert schedule(0.75) == pytest.approx(0.5)

    def test_no_warmup(self):
        schedule = WarmupParamScheduler(
            MultiStepParamScheduler([1, 0.1], milestones=[3], num_updates=4), 1.0, 0.0
        )
        assert [schedule(k / 4) for k in range(4)] == pytest.approx([1, 1, 1, 0.1])

    def test_unknown_method(self):
        with pytest.raises(ValueError, match="cosine"):
            WarmupParamScheduler(ConstantParamScheduler(1.0), 0.1, 0.5, "cosine")


class TestLRMultiplier:
    def optimizer(self) -> torch.optim.Optimizer:
        layer = nn.Linear(1, 1)
        groups = [{"params": [layer.weight], "lr": 1.0}, {"params": [layer.bias], "lr": 10.0}]
        return torch.optim.SGD(groups, lr=0.1)

    def run(
        self, scheduler: LRMultiplier, optimizer: torch.optim.Optimizer, steps: int
    ) -> list[float]:
        rates = []
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            assert optimizer.param_groups[1]["lr"] == pytest.approx(10 * rates[-1])
            optimizer.step()
            scheduler.step()
        return rates

    def multiplier(self) -> MultiStepParamScheduler:
        return MultiStepParamScheduler([1, 0.1, 0.01], milestones=[3, 5], num_updates=6)

    def test_rates(self):
        optimizer = self.optimizer()
        scheduler = LRMultiplier(optimizer, self.multiplier(), max_iter=6)
        assert self.run(scheduler, optimizer, 6) == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01])

    def test_resumes(self):
        optimizer = self.optimizer()
        scheduler = LRMultiplier(optimizer, self.multiplier(), max_iter=6)
        self.run(scheduler, optimizer, 4)
        state = scheduler.state_dict(), optimizer.state_dict()
        assert set(state[0]) == {"base_lrs", "last_epoch"}
        optimizer = self.optimizer()
        scheduler = LRMultiplier(optimizer, self.multiplier(), max_iter=6)
        scheduler.load_state_dict(state[0])
        optimizer.load_state_dict(state[1])
        assert self.run(scheduler, optimizer, 2) == pytest.approx([0.1, 0.01])

    def test_wants_a_schedule(self):
        with pytest.raises(ValueError, match="ParamScheduler"):
            LRMultiplier(self.optimizer(), lambda done: 1.0, max_iter=6)


class TestParams:
    def net(self) -> nn.Module:
        net = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
        net[2].bias.requires_grad = False
        return net

    def settings(self, net: nn.Module, **options) -> dict[str, dict[str, float]]:
        """The settings of every parameter by its name."""
        groups = get_default_optimizer_params(net, **options)
        names = {id(parameter): name for name, parameter in net.named_parameters()}
        found = {}
        for group in groups:
            rest = {key: value for key, value in group.items() if key != "params"}
            found |= {names[id(parameter)]: rest for parameter in group["params"]}
        assert sum(len(group["params"]) for group in groups) == len(found)
        return found

    def test_one_group_by_default(self):
        groups = get_default_optimizer_params(self.net())
        assert len(groups) == 1
        assert set(groups[0]) == {"params"}
        assert len(groups[0]["params"]) == 7

    def test_norms(self):
        found = self.settings(self.net(), base_lr=0.1, weight_decay=1e-4, weight_decay_norm=0.0)
        assert found["0.weight"] == {"lr": 0.1, "weight_decay": 1e-4}
        assert found["1.weight"] == found["3.bias"] == {"lr": 0.1, "weight_decay": 0.0}
        assert "2.bias" not in found

    def test_biases(self):
        found = self.settings(self.net(), base_lr=0.1, bias_lr_factor=2.0, weight_decay_bias=0.0)
        assert found["0.bias"] == {"lr": 0.2, "weight_decay": 0.0}
        assert found["0.weight"] == {"lr": 0.1}

    def test_factor_by_name(self):
        def factor(name: str) -> float:
            return 0.1 if name.startswith("0.") else 1.0

        found = self.settings(self.net(), base_lr=1.0, lr_factor_func=factor)
        assert found["0.weight"]["lr"] == pytest.approx(0.1)
        assert found["1.weight"]["lr"] == 1

    def test_overrides(self):
        found = self.settings(self.net(), weight_decay=1.0, overrides={"weight": {"lr": 0.5}})
        assert found["2.weight"] == {"lr": 0.5, "weight_decay": 1.0}
        assert found["0.bias"] == {"weight_decay": 1.0}

    def test_shared_parameter_counts_once(self):
        net = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
        net[1].weight = net[0].weight
        assert len(get_default_optimizer_params(net)[0]["params"]) == 3

    @pytest.mark.parametrize(
        "options",
        [
            {"bias_lr_factor": 2.0},
            {"lr_factor_func": lambda name: 1.0},
            {"weight_decay_bias": 0.0, "overrides": {"bias": {"lr": 1.0}}},
        ],
    )
    def test_refuses(self, options):
        with pytest.raises(ValueError, match=r"base_lr|bias"):
            get_default_optimizer_params(self.net(), **options)

    def test_optimizer_takes_them(self):
        groups = get_default_optimizer_params(self.net(), base_lr=0.1, weight_decay_norm=0.0)
        assert len(torch.optim.AdamW(groups, lr=1.0).param_groups) == 2
