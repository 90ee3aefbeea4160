"""What is said when one of two options that go together is overridden."""

from pathlib import Path

import pytest

from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.counterparts import warn_of_counterparts

CONFIG = str(Path(__file__).with_name("small_recipe.py"))
BATCH = "dataloader.train.total_batch_size=4"


@pytest.mark.parametrize(
    ("overrides", "sentences"),
    [
        ([], []),
        (["train.seed=7"], []),
        (
            [BATCH],
            [
                "dataloader.train.total_batch_size=4 where the config has 2, but "
                "optimizer.lr=0.0002 stays: train.reference_batch=2 lets it follow"
            ],
        ),
        ([BATCH, "optimizer.lr=1e-4"], []),
        ([BATCH, "train.reference_batch=2"], []),
        (
            ["train.epochs=8"],
            [
                "train.epochs=8 where the config has 2, but the learning rate drops at "
                "lr_multiplier.milestones=[1] as before"
            ],
        ),
        (["train.epochs=8", "lr_multiplier.milestones=[6]"], []),
        (["train.epochs=8", "train.max_iter=5"], []),
        (["train.epochs=8", "lr_multiplier=null"], []),
    ],
)
def test_one_option_of_two(
    overrides: list[str], sentences: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_counterparts(load_config(CONFIG, overrides), load_config(CONFIG))
    assert caplog.messages == sentences
