"""Who trains for few iterations is told how many epochs would be enough."""

import logging
import re

import pytest
from omegaconf import OmegaConf

from hdetr_d2.engine.few_iterations import FEW, warn_of_few_iterations


@pytest.mark.parametrize(
    ("epochs", "in_an_epoch", "said"),
    [
        (24, 6, "24 epochs of so few images are 144 iterations, .* in 504: --epochs 84"),
        (0.5, 999, "0.5 epochs of so few images are 499 iterations, .* in 999: --epochs 1"),
        (1, FEW, None),
    ],
)
def test_what_would_be_enough(
    epochs: float, in_an_epoch: int, said: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    train = {"epochs": epochs, "iterations_per_epoch": in_an_epoch}
    cfg = OmegaConf.create({"train": {**train, "max_iter": int(epochs * in_an_epoch)}})
    with caplog.at_level(logging.WARNING, "hdetr_d2"):
        warn_of_few_iterations(cfg)
    assert len(caplog.messages) == (said is not None)
    assert said is None or re.search(said, caplog.text)
