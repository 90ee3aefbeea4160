import json
import math
from pathlib import Path
from typing import Any

import pytest
from detectron2.engine import HookBase

from hdetr_d2.engine.early_stopping import EarlyStopping, wait


class Scores(HookBase):
    """Every second iteration the next score, or none for None."""

    def __init__(self, *scores: float | None) -> None:
        self.scores = list(scores)

    def after_step(self) -> None:
        if (self.trainer.iter + 1) % 2 == 0 and (score := self.scores.pop(0)) is not None:
            self.trainer.storage.put_scalar("bbox/AP", score, smoothing_hint=False)


def stopped(
    make_trainer: Any, folder: Path, *scores: float | None, start: int = 0, **options: Any
) -> list[int]:
    """The iterations done, and those that the last checkpoint was written after."""
    saved: list[int] = []
    given = {"patience": 2, "period": 2, "folder": str(folder), "save": saved.append}
    trainer = make_trainer()
    trainer.register_hooks([Scores(*scores), EarlyStopping(**{**given, **options})])
    trainer.train(start, 12)
    losses = trainer.storage.histories().get("total_loss")
    return [len(losses.values()) if losses else 0, *saved]


def test_it_ends_after_evaluations_without_a_gain(make_trainer: Any, tmp_path: Path) -> None:
    assert stopped(make_trainer, tmp_path, 1.0, 3.0, 2.0, 3.0) == [8, 8]


def test_it_goes_on_while_there_is_a_gain(make_trainer: Any, tmp_path: Path) -> None:
    assert stopped(make_trainer, tmp_path, 1.0, 0.5, 2.0, 1.0, 3.0, 1.0) == [12]
    none = (1.0,) * 6
    assert stopped(make_trainer, tmp_path, *none, patience=None) == [12]


def test_less_may_be_better(make_trainer: Any, tmp_path: Path) -> None:
    assert stopped(make_trainer, tmp_path, 3.0, 2.0, 2.5, 2.2, mode="min") == [8, 8]


def test_a_small_gain_is_none(make_trainer: Any, tmp_path: Path) -> None:
    assert stopped(make_trainer, tmp_path, 1.0, 1.1, 1.2, min_change=0.5) == [6, 6]


def test_without_the_metric_it_goes_on_and_says_so(
    make_trainer: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert stopped(make_trainer, tmp_path, 1.0, *[None] * 5) == [12]
    assert caplog.text.count("No new bbox/AP among the metrics") == 4


def test_a_resumed_run_goes_on_counting(make_trainer: Any, tmp_path: Path) -> None:
    rows = [{"iteration": i, "bbox/AP": ap} for i, ap in ((1, 1.0), (3, 5.0), (5, 4.0), (7, 9.0))]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "metrics.json").write_text(text)
    assert stopped(make_trainer, tmp_path, 4.5, start=6) == [2, 8]
    assert stopped(make_trainer, tmp_path, 6.0, 1.0, 1.0, start=6) == [6]  # to the end
    (tmp_path / "metrics.json").write_text(text.replace("9.0", "1.0"))
    assert stopped(make_trainer, tmp_path, start=8) == [0]  # it had ended there


@pytest.mark.parametrize("left", ["", '{"iteration": 1, "bbox'])
def test_what_a_kill_left_is_no_error(make_trainer: Any, tmp_path: Path, left: str) -> None:
    (tmp_path / "metrics.json").write_text(left)
    assert stopped(make_trainer, tmp_path, 4.5, 4.0, 3.0, start=6) == [6]


def test_nothing_not_a_number_and_the_first_one() -> None:
    assert wait([]) == (-math.inf, 0)
    assert wait([math.nan, math.nan]) == (-math.inf, 2)
    assert wait([0.0, math.nan, 0.0]) == (0.0, 2)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"patience": 0}, "patience=0 must be"),
        ({"mode": "most"}, "mode=most must be max or min"),
        ({"min_change": -1.0}, "min_change=-1.0 must not be negative"),
        ({"period": 0}, "train.eval_period_epochs is 0"),
    ],
)
def test_options_out_of_range(options: dict, complaint: str) -> None:
    given = {"patience": 2, "period": 2, "folder": "", "save": print}
    with pytest.raises(ValueError, match=complaint):
        EarlyStopping(**{**given, **options})
