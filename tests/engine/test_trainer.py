import json
import logging
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.engine import HookBase
from detectron2.utils.events import JSONWriter
from torch import Tensor, nn

from hdetr_d2.engine import bad_costs
from hdetr_d2.engine.device import Precision
from hdetr_d2.engine.ema import ModelEma
from hdetr_d2.engine.empty_steps import TARGETS
from hdetr_d2.engine.trainer import peak_memory, seed_step
from hdetr_d2.errors import UserError
from hdetr_d2.structures import Step
from hdetr_d2.utils.observation import observe_mean


class Gradients(HookBase):
    """Keeps the gradients of the last step."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.seen: dict[str, Tensor] = {}

    def after_backward(self) -> None:
        self.seen = {
            name: p.grad.clone() for name, p in self.model.named_parameters() if p.grad is not None
        }


def gradients(make_trainer: Any, **options: Any) -> dict[str, Tensor]:
    trainer = make_trainer(**options)
    hook = Gradients(trainer.model)
    trainer.register_hooks([hook])
    trainer.train(0, 1)
    return hook.seen


def weights(model: nn.Module) -> list[float]:
    return [value for p in model.parameters() for value in p.flatten().tolist()]


def test_random_state_is_a_function_of_seed_iteration_and_rank() -> None:
    draws = {}
    for position in [(1, 2, 0), (1, 2, 1), (1, 3, 0), (2, 2, 0), (1, 2, 0)]:
        seed_step(*position)
        draws.setdefault(position, []).append(torch.rand(()).item())
    assert draws[1, 2, 0][0] == draws[1, 2, 0][1]
    assert len({values[0] for values in draws.values()}) == 4


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_mean_that_the_model_observes_is_logged(
    make_trainer: Any, make_toy: Any, accumulate: int
) -> None:
    class Observing(make_toy):  # type: ignore[misc]
        def forward(self, batch: list[dict], step: Step) -> dict[str, Tensor]:
            numbers = [float(item["image_id"]) for item in batch]
            observe_mean("toy/number", torch.tensor(numbers).mean())
            return super().forward(batch, step)

    trainer = make_trainer(model=Observing(), accumulate=accumulate)
    trainer.train(0, 1)
    assert trainer.storage.latest()["toy/number"][0] == pytest.approx(2.5)  # of 0 to 5


@pytest.mark.parametrize("accumulate", [2, 3, 6])
def test_accumulated_gradients_are_those_of_the_whole_batch(
    make_trainer: Any, accumulate: int
) -> None:
    whole = gradients(make_trainer, accumulate=1)
    parts = gradients(make_trainer, accumulate=accumulate)
    assert whole.keys() == parts.keys()
    for name in whole:
        assert torch.allclose(whole[name], parts[name], rtol=1e-6, atol=0), name


def test_every_micro_batch_hears_of_the_targets_of_the_step(
    make_trainer: Any, make_toy: Any
) -> None:
    model = make_toy()
    make_trainer(model=model, total=6, accumulate=3).train(0, 2)
    assert model.counts == [6.0] * 6  # images 0..5 and 6..11 have 0, 1, 2, 0, 1, 2 objects
    assert model.shares == [1 / 3] * 6


def test_progress_is_right_from_the_first_step_of_a_resumed_run(
    make_trainer: Any, make_toy: Any
) -> None:
    model = make_toy()
    make_trainer(model=model).train(7, 10)
    assert model.progress == [0.7, 0.8, 0.9]


def test_a_resumed_training_is_the_same_to_the_bit(make_trainer: Any, make_toy: Any) -> None:
    def build() -> tuple[Any, nn.Module, ModelEma]:
        torch.manual_seed(5)
        model = make_toy(noise=0.3)
        ema = ModelEma(model, decay=0.9)
        return make_trainer(model=model, ema=ema), model, ema

    straight, model, ema = build()
    straight.train(0, 8)
    state = torch.get_rng_state()

    first, model_1, ema_1 = build()
    first.train(0, 4)
    torch.rand(17)  # whatever happens between the two halves
    second, model_2, ema_2 = build()
    model_2.load_state_dict(model_1.state_dict())
    ema_2.load_state_dict(ema_1.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.train(4, 8)
    assert weights(model) == weights(model_2)
    assert torch.equal(model.norm.running_mean, model_2.norm.running_mean)
    assert weights(ema) == weights(ema_2)
    assert torch.equal(state, torch.get_rng_state())
    for p, q in zip(model.parameters(), model_2.parameters(), strict=True):
        one, two = straight.optimizer.state[p], second.optimizer.state[q]
        assert all(torch.equal(one[key], two[key]) for key in one)


def test_bfloat16_trains_on_the_cpu(make_trainer: Any, make_toy: Any) -> None:
    class Watching(make_toy):
        def forward(self, batch: list[dict], step: Step) -> dict:
            assert self.head(torch.ones(1, 4)).dtype is torch.bfloat16
            return super().forward(batch, step)

    model = Watching()
    before = weights(model)
    make_trainer(model=model, precision=Precision("cpu", torch.bfloat16)).train(0, 2)
    after = weights(model)
    assert before != after
    assert all(math.isfinite(value) for value in after)


def test_clipping_bounds_the_step(make_trainer: Any, make_toy: Any) -> None:
    model = make_toy()
    before = torch.tensor(weights(model))
    trainer = make_trainer(model=model, optimizer=torch.optim.SGD, clip_grad_norm=0.5)
    trainer.train(0, 1)
    moved = (torch.tensor(weights(model)) - before).norm().item()
    assert moved == pytest.approx(0.01 * 0.5, rel=1e-3)
    assert trainer.storage.history("grad_norm").latest() > 0.5


@pytest.mark.parametrize("optimizer", ["AdamW", "fused"])
def test_a_step_that_is_not_finite_changes_nothing_and_names_its_images(
    make_trainer: Any, make_toy: Any, make_item: Any, caplog: Any, optimizer: str
) -> None:
    model = make_toy()
    good, bad = [make_item(1, 2)], [make_item(77, 2, colour=math.inf)]
    frozen: list[list[float]] = []

    class Watch(HookBase):
        def after_step(self) -> None:
            frozen.append(weights(model))

    def build(parameters: Any, lr: float) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, lr=lr, fused=optimizer == "fused")

    trainer = make_trainer(
        model=model, optimizer=build, make_loader=lambda start: iter([good, bad, bad, good])
    )
    trainer.register_hooks([Watch()])
    with caplog.at_level(logging.WARNING, "hdetr_d2"):
        trainer.train(0, 4)
    assert frozen[0] == frozen[1] == frozen[2] != frozen[3]
    assert all(math.isfinite(value) for value in frozen[3])
    assert "Iteration 1 is not finite" in caplog.text
    assert "[77]" in caplog.text
    assert {i for _, i in trainer.storage.history("total_loss").values()} == {0, 3}


def test_too_many_of_them_in_a_row_end_the_training(make_trainer: Any, make_item: Any) -> None:
    good, bad = [make_item(1, 2)], [make_item(77, 2, colour=math.nan)]
    batches = [bad, bad, good, bad, bad, bad, good]
    trainer = make_trainer(max_bad_steps=3, make_loader=lambda start: iter(batches))
    with pytest.raises(
        UserError, match=r"3 steps in a row .* iteration 5 .*loss_class=nan.*\[77\]"
    ):
        trainer.train(0, 7)


class Sloping(nn.Module):
    """Its loss is 1, and the gradient of its weight `slope`, by way of float16."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.slope = slope

    def forward(self, batch: list[dict], step: Step) -> dict[str, Tensor]:
        through = (self.weight - self.weight.detach()).half() * self.slope  # 0
        return {"loss_class": 1 + through.float()}


def test_an_overflow_that_lowers_the_scale_is_no_bad_step(
    make_trainer: Any, make_item: Any, caplog: Any
) -> None:
    model, precision = Sloping(4.0), Precision("cpu", torch.float16)
    seen = []

    class Watch(HookBase):
        def after_step(self) -> None:
            seen.append(model.weight.item())

    trainer = make_trainer(
        model=model,
        precision=precision,
        optimizer=torch.optim.SGD,
        max_bad_steps=1,
        make_loader=lambda start: iter([[make_item(1, 2)]] * 5),
    )
    trainer.register_hooks([Watch()])
    with caplog.at_level(logging.INFO, "hdetr_d2"):
        trainer.train(0, 5)
    # 2^16 x 4 and 2^15 x 4 are beyond float16, whose largest number is 65504; so is 2^14 x 4.
    assert seen[:3] == [1.0, 1.0, 1.0]
    assert seen[3] == pytest.approx(1 - 0.01 * 4)
    assert [value for value, _ in trainer.storage.history("total_loss").values()] == [1.0] * 5
    assert trainer.storage.history("grad_norm").values() == [(4.0, 3), (4.0, 4)]
    scales = [value for value, _ in trainer.storage.history("loss_scale").values()]
    assert scales == [2.0**16, 2.0**15, 2.0**14, 2.0**13, 2.0**13]
    assert "Iteration 2: the loss scale 16384 is lowered" in caplog.text
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


@pytest.mark.parametrize(("dtype", "first"), [(torch.float16, 16), (None, 0)], ids=str)
def test_a_gradient_that_no_scale_makes_finite_is_bad(
    make_trainer: Any, make_item: Any, dtype: torch.dtype | None, first: int
) -> None:
    model = Sloping(4.0)
    model.weight.register_hook(lambda gradient: gradient * math.nan)
    trainer = make_trainer(
        model=model,
        precision=Precision("cpu", dtype),
        max_bad_steps=3,
        make_loader=lambda start: iter([[make_item(1, 2)]] * 30),
    )
    with pytest.raises(UserError, match=f"3 steps in a row .* iteration {first + 2} .*grad_norm"):
        trainer.train(0, 30)


def test_images_without_objects_do_not_divide_by_zero(make_trainer: Any, make_item: Any) -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(()))

        def forward(self, batch: list[dict], step: Step) -> dict[str, Tensor]:
            return {"loss_class": self.w / step.ground_truths.clamp(min=1)}

    model = Plain()
    batches = [[make_item(1, 0)], [make_item(2, 1)]]
    trainer = make_trainer(model=model, make_loader=lambda start: iter(batches))
    trainer.train(0, 2)
    assert trainer.storage.history("total_loss").values()[0] == (1.0, 0)


def test_metrics_of_every_step(make_trainer: Any, tmp_path: Path) -> None:
    trainer = make_trainer(accumulate=2)

    class Write(HookBase):
        def after_train(self) -> None:
            JSONWriter(str(tmp_path / "metrics.json")).write()

    trainer.register_hooks([Write()])
    trainer.train(0, 3)
    row = json.loads((tmp_path / "metrics.json").read_text().splitlines()[-1])
    wanted = {"loss_class", "loss_noise", "total_loss", "grad_norm", "memory/peak_mb", "iteration"}
    wanted |= {f"time/{part}" for part in ("data", "forward", "backward", "optimizer")}
    assert wanted | set(bad_costs.METRICS) <= row.keys()
    assert len(trainer.storage.history("total_loss").values()) == 3


def test_what_the_loader_counts_is_a_metric(make_trainer: Any, make_stream: Any) -> None:
    class Counting:
        counts = {"skipped_images": 3}

        def __iter__(self) -> Any:
            return make_stream(6, 1)(0)

    trainer = make_trainer(make_loader=lambda iteration: Counting())
    trainer.train(0, 1)
    assert trainer.storage.history("data/skipped_images").latest() == 3


def test_on_a_device_that_runs_ahead_metrics_wait_for_the_log(make_trainer: Any) -> None:
    trainer = make_trainer(log_period=3)
    trainer.device = torch.device("meta")  # only its type is asked
    seen = []

    class Watch(HookBase):
        def after_step(self) -> None:
            history = trainer.storage.histories().get("total_loss")
            seen.append(len(history.values()) if history else 0)

    trainer.register_hooks([Watch()])
    one, counts = torch.ones(()), dict.fromkeys(bad_costs.METRICS, torch.zeros(()))
    trainer._add_gradients = lambda batches: ({"total_loss": one, TARGETS: one, **counts}, [{}])
    trainer._update = lambda: {"grad_norm": one}
    trainer.train(0, 4)
    assert seen == [0, 0, 3, 4]


def test_memory_is_unknown_where_the_system_does_not_tell(monkeypatch: Any) -> None:
    assert 10 < peak_memory(torch.device("cpu")) < 1e6
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert math.isnan(peak_memory(torch.device("cpu")))
