"""When hooks are called, and what the built-in ones do."""

import hdetr_d2  # noqa: F401

import json
from pathlib import Path

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import HookBase, TrainerBase, hooks
from detectron2.utils.events import EventWriter, JSONWriter
from fvcore.common.param_scheduler import LinearParamScheduler
from torch import nn


class Silent(TrainerBase):
    """A trainer whose step is nothing but a backward pass."""

    def run_step(self) -> None:
        self.after_backward()


class Recorder(HookBase):
    """Writes every call into a list that may be shared."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name, self.calls = name, calls

    def before_train(self) -> None:
        self.calls.append(f"{self.name} before_train")

    def before_step(self) -> None:
        self.calls.append(f"{self.name} before_step {self.trainer.iter}")

    def after_backward(self) -> None:
        self.calls.append(f"{self.name} after_backward {self.trainer.storage.iter}")

    def after_step(self) -> None:
        self.calls.append(f"{self.name} after_step {self.trainer.iter}")

    def after_train(self) -> None:
        self.calls.append(f"{self.name} after_train {self.trainer.iter}")


def run(*registered: HookBase, start: int = 0, stop: int = 6) -> Silent:
    trainer = Silent()
    trainer.register_hooks(list(registered))
    trainer.train(start, stop)
    return trainer


def test_order_of_calls() -> None:
    calls: list[str] = []
    run(Recorder("a", calls), Recorder("b", calls), start=3, stop=5)
    step = "a before_step {0},b before_step {0},a after_backward {0},b after_backward {0}"
    step += ",a after_step {0},b after_step {0}"
    expected = ["a before_train,b before_train", step.format(3), step.format(4)]
    assert ",".join(calls) == ",".join([*expected, "a after_train 5,b after_train 5"])


def test_none_is_passed_over_and_others_are_refused() -> None:
    trainer = Silent()
    trainer.register_hooks([None])
    with pytest.raises(AssertionError):
        trainer.register_hooks(["hook"])  # type: ignore[list-item]


def test_after_train_follows_an_error() -> None:
    calls: list[str] = []

    class Broken(Silent):
        def run_step(self) -> None:
            raise RuntimeError("broken step")

    trainer = Broken()
    trainer.register_hooks([Recorder("a", calls)])
    with pytest.raises(RuntimeError, match="broken step"):
        trainer.train(2, 5)
    assert calls == ["a before_train", "a before_step 2", "a after_train 2"]


class Stateful(HookBase):
    def __init__(self, value: int) -> None:
        self.value = value

    def state_dict(self) -> dict:
        return {"value": self.value}

    def load_state_dict(self, state: dict) -> None:
        self.value = state["value"]


def test_states_of_hooks_are_kept_by_class_name() -> None:
    trainer = run(HookBase(), Stateful(7), stop=2)
    state = trainer.state_dict()
    assert state == {"iteration": 2, "hooks": {"Stateful": {"value": 7}}}
    hook, other = Stateful(0), Silent()
    other.register_hooks([hook])
    other.load_state_dict({**state, "hooks": {**state["hooks"], "Unknown": {}}})
    assert (other.iter, hook.value) == (2, 7)


def test_callbacks() -> None:
    calls: list[int] = []
    run(hooks.CallbackHook(after_step=lambda trainer: calls.append(trainer.iter)), stop=3)
    assert calls == [0, 1, 2]


@pytest.mark.parametrize(
    ("period", "at_the_end", "expected"),
    [(2, True, [1, 3, 6]), (3, True, [2, 6]), (0, True, [6]), (4, False, [3]), (9, True, [6])],
)
def test_evaluation_period(period: int, at_the_end: bool, expected: list[int]) -> None:
    trainer = Silent()
    seen: list[int] = []

    def evaluate() -> dict:
        seen.append(trainer.iter)
        return {"bbox": {"AP": 10 * len(seen)}}

    trainer.register_hooks([hooks.EvalHook(period, evaluate, eval_after_train=at_the_end)])
    trainer.train(0, 6)
    assert seen == expected
    assert trainer.storage.latest()["bbox/AP"] == (10 * len(seen), expected[-1])


def test_evaluation_must_return_numbers() -> None:
    with pytest.raises(ValueError, match="AP.*good"):
        run(hooks.EvalHook(1, lambda: {"bbox": {"AP": "good"}}))


def test_no_evaluation_after_a_failure() -> None:
    seen: list[int] = []

    def fail(trainer: TrainerBase) -> None:
        raise RuntimeError("stop")

    hook = hooks.EvalHook(5, lambda: seen.append(0))
    with pytest.raises(RuntimeError, match="stop"):
        run(hooks.CallbackHook(before_step=fail), hook, hooks.PeriodicWriter([]))
    assert seen == []


class Scores(HookBase):
    """Puts one score after another."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = iter(scores)

    def after_step(self) -> None:
        self.trainer.storage.put_scalar("score", next(self.scores), smoothing_hint=False)


@pytest.mark.parametrize(("mode", "best", "iteration"), [("max", 30.0, 3), ("min", 5.0, 5)])
def test_best_checkpoint(tmp_path: Path, mode: str, best: float, iteration: int) -> None:
    model = nn.Linear(1, 1)
    scores = [0.0, 20.0, 0.0, 30.0, 0.0, 5.0]
    hook = hooks.BestCheckpointer(
        2, DetectionCheckpointer(model, str(tmp_path)), "score", mode, file_prefix="best"
    )
    run(Scores(scores), hook)
    assert (hook.best_metric, hook.best_iter) == (best, iteration)
    saved = torch.load(tmp_path / "best.pth", weights_only=False)
    assert saved["iteration"] == iteration
    assert saved["model"].keys() == {"weight", "bias"}


def test_a_score_that_is_nan_or_absent_is_never_best(tmp_path: Path) -> None:
    checkpointer = DetectionCheckpointer(nn.Linear(1, 1), str(tmp_path))
    hook = hooks.BestCheckpointer(1, checkpointer, "score")
    run(Scores([float("nan")] * 6), hook)
    run(hooks.BestCheckpointer(1, checkpointer, "score"))
    assert hook.best_metric is None
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(AssertionError, match="middle"):
        hooks.BestCheckpointer(1, checkpointer, "score", mode="middle")


def test_periodic_checkpoints(tmp_path: Path) -> None:
    checkpointer = DetectionCheckpointer(nn.Linear(1, 1), str(tmp_path))
    run(hooks.PeriodicCheckpointer(checkpointer, 2, max_to_keep=2), stop=7)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"model_0000003.pth", "model_0000005.pth", "model_final.pth", "last_checkpoint"}
    assert (tmp_path / "last_checkpoint").read_text() == "model_final.pth"
    assert torch.load(tmp_path / "model_0000003.pth", weights_only=False)["iteration"] == 3


class Counting(EventWriter):
    def __init__(self, calls: list[str]) -> None:
        self.calls = calls

    def write(self) -> None:
        self.calls.append("write")

    def close(self) -> None:
        self.calls.append("close")


def test_writers_write_periodically_and_in_the_end() -> None:
    calls: list[str] = []
    record = hooks.CallbackHook(after_step=lambda trainer: calls.append(str(trainer.iter)))
    run(record, hooks.PeriodicWriter([Counting(calls)], period=2), stop=5)
    assert " ".join(calls) == "0 1 write 2 3 write 4 write write close"
    with pytest.raises(AssertionError):
        hooks.PeriodicWriter(["writer"])  # type: ignore[list-item]


def test_results_of_the_last_evaluation_are_written(tmp_path: Path) -> None:
    writer = JSONWriter(str(tmp_path / "metrics.json"))
    run(hooks.EvalHook(0, lambda: {"bbox": {"AP": 5}}), hooks.PeriodicWriter([writer]), stop=2)
    lines = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert lines == [{"bbox/AP": 5.0, "iteration": 2}]


def test_timer_leaves_out_the_first_iterations() -> None:
    trainer = run(hooks.IterationTimer(warmup_iter=3), stop=5)
    history = trainer.storage.history("time").values()
    assert [iteration for _, iteration in history] == [2, 3, 4]
    assert all(seconds >= 0 for seconds, _ in history)


def sgd(*rates_and_sizes: tuple[float, int]) -> torch.optim.SGD:
    groups = [
        {"params": [nn.Parameter(torch.zeros(1)) for _ in range(size)], "lr": rate}
        for rate, size in rates_and_sizes
    ]
    return torch.optim.SGD(groups, lr=1.0)


def learning_rates(trainer: TrainerBase) -> list[float]:
    return [value for value, _ in trainer.storage.history("lr").values()]


def test_learning_rate_as_a_multiplier_over_the_training() -> None:
    optimizer = sgd((1.0, 2), (0.1, 1))
    run(hooks.LRScheduler(optimizer, LinearParamScheduler(1.0, 0.0)), stop=1)
    optimizer = sgd((1.0, 2), (0.1, 1))
    trainer = run(hooks.LRScheduler(optimizer, LinearParamScheduler(1.0, 0.0)), stop=4)
    assert learning_rates(trainer) == pytest.approx([1.0, 0.75, 0.5, 0.25])
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.0, 0.0])


def test_learning_rate_goes_on_where_the_training_does() -> None:
    optimizer = sgd((1.0, 2))
    optimizer.param_groups[0]["initial_lr"] = 1.0
    hook = hooks.LRScheduler(optimizer, LinearParamScheduler(1.0, 0.0))
    trainer = run(hook, start=2, stop=4)
    assert learning_rates(trainer) == pytest.approx([0.5, 0.25])


def test_a_scheduler_of_torch_and_its_state() -> None:
    optimizer = sgd((1.0, 1))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.1)
    hook = hooks.LRScheduler(optimizer, scheduler)
    trainer = run(hook, stop=4)
    assert learning_rates(trainer) == pytest.approx([1.0, 1.0, 0.1, 0.1])
    assert trainer.state_dict()["hooks"]["LRScheduler"]["last_epoch"] == 4


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([(0.1, 1), (0.2, 3), (0.3, 2)], 1),
        ([(0.1, 1), (0.2, 1), (0.2, 1)], 1),
        ([(0.5, 2), (0.1, 2)], 0),
    ],
)
def test_which_learning_rate_is_shown(groups: list[tuple[float, int]], expected: int) -> None:
    assert hooks.LRScheduler.get_best_param_group_id(sgd(*groups)) == expected
