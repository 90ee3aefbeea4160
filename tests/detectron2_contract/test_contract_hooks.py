"""When hooks are called, and what the built-in ones do."""

import hdetr_d2  # noqa: F401

import pytest
from detectron2.engine import HookBase, TrainerBase, hooks
from detectron2.utils.events import EventWriter


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


def test_callbacks() -> None:
    calls: list[int] = []
    run(hooks.CallbackHook(after_step=lambda trainer: calls.append(trainer.iter)), stop=3)
    assert calls == [0, 1, 2]


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


def test_timer_leaves_out_the_first_iterations() -> None:
    trainer = run(hooks.IterationTimer(warmup_iter=3), stop=5)
    history = trainer.storage.history("time").values()
    assert [iteration for _, iteration in history] == [2, 3, 4]
    assert all(seconds >= 0 for seconds, _ in history)


def test_the_summary_tells_of_the_iterations_that_were_timed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO", "detectron2"):
        run(hooks.IterationTimer(warmup_iter=3), stop=5)
    (told,) = [message for message in caplog.messages if "3 iterations" in message]
    # Detectron2's own says no more.
    assert told.startswith("Overall training speed") or told.endswith("each, without the first 2")
