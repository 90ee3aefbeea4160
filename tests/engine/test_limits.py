import logging

import pytest
from omegaconf import DictConfig, OmegaConf

from hdetr_d2.engine.limits import warn_of_limits


def config(*, queries: int, classes: int, kept: int, counted: int) -> DictConfig:
    return OmegaConf.create(
        {
            "data": {"num_classes": classes},
            "model": {"query_selection": {"num_queries": queries}, "num_select": kept},
            "dataloader": {"evaluator": {"max_dets_per_image": counted}},
        }
    )


@pytest.mark.parametrize(
    ("options", "most_objects", "warnings"),
    [
        (dict(queries=300, classes=80, kept=100, counted=100), 300, []),
        (dict(queries=10, classes=10, kept=100, counted=100), None, []),
        (dict(queries=300, classes=80, kept=100, counted=100), 301, ["301 objects"]),
        (dict(queries=10, classes=9, kept=100, counted=100), 10, ["10 queries with 9 class"]),
        (dict(queries=300, classes=1203, kept=100, counted=300), 9, ["max_dets_per_image=300"]),
    ],
)
def test_what_does_not_fit_is_said(
    options: dict[str, int],
    most_objects: int | None,
    warnings: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "hdetr_d2"):
        warn_of_limits(config(**options), most_objects)
    assert len(caplog.messages) == len(warnings)
    for message, part in zip(caplog.messages, warnings, strict=True):
        assert part in message


def test_options_that_are_not_there_set_no_limit(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_limits(OmegaConf.create({"data": {"num_classes": 3}}), 1000)
    assert caplog.messages == []
