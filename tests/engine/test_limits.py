import logging

import detectron2.evaluation
import pytest
from omegaconf import DictConfig, OmegaConf

from hdetr_d2.engine.limits import warn_of_limits


def config(*, queries: int, classes: int, kept: int, counted: int) -> DictConfig:
    return OmegaConf.create(
        {
            "data": {"num_classes": classes},
            "model": {
                "query_selection": {"num_queries": queries},
                "postprocessing": {"num_select": kept},
            },
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


@pytest.mark.parametrize(
    ("target", "limit", "count"),
    [
        ("detectron2.evaluation.COCOEvaluator", 9, 1),
        (detectron2.evaluation.COCOEvaluator, 9, 1),
        ("detectron2.evaluation.COCOEvaluator", 10, 0),
        ("detectron2.evaluation.LVISEvaluator", 9, 0),
        ("hdetr_d2.evaluation.COCOEvaluator", 9, 0),
    ],
)
def test_a_limit_that_detectron2_does_not_keep(
    target: str | type, limit: int, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    node = {"_target_": target, "max_dets_per_image": limit}
    cfg = OmegaConf.create(
        {"data": {"num_classes": 3}, "dataloader": {"evaluator": node}},
        flags={"allow_objects": True},
    )
    warn_of_limits(cfg, 9)
    assert [text.count("own evaluator lets 10 count") for text in caplog.messages] == [1] * count


def test_options_that_are_not_there_set_no_limit(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_limits(OmegaConf.create({"data": {"num_classes": 3}}), 1000)
    assert caplog.messages == []
