"""A config that was saved when matcher and post-processing had no nodes of their own."""

from hdetr_d2 import model_zoo

from copy import deepcopy
from typing import Any

import pytest

from hdetr_d2.engine.config import plain_config
from hdetr_d2.engine.earlier_names import renamed

RECIPES = [
    "quickstart/deformable_detr_shapes.py",
    "detr/detr_panoptic_r50_25ep.py",
    "dino/dino_r50_4scale_12ep.py",
]


def as_it_was(config: dict[str, Any]) -> dict[str, Any]:
    """The same config, as it was written then."""
    model = config["model"]
    matcher = model["criterion"].pop("matcher")
    model["matcher"] = {"class_cost": "${model.criterion.class_loss}", **matcher}
    del model["postprocessing"]["_target_"]
    model.update(model.pop("postprocessing"), detector=None)
    if model["neck"]["in_features"] is None:
        model["neck"]["in_features"] = "${model.backbone.out_features}"
    return config


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_the_config_of_today(name: str) -> None:
    today = plain_config(model_zoo.get_config(name))
    old = as_it_was(deepcopy(today))
    assert "matcher" in old["model"] and "num_select" in old["model"]
    assert renamed(old) == today


def test_a_cost_of_ones_own_is_not_lost() -> None:
    matcher = {"_target_": "a.Matcher", "class_cost": {"_target_": "a.Cost"}}
    old = {"model": {"criterion": {}, "matcher": matcher}}
    assert renamed(old)["model"]["criterion"]["matcher"] == matcher


@pytest.mark.parametrize("config", [{}, {"model": None}, {"model": {"_target_": "a.B"}}])
def test_what_is_no_model_of_then_stays(config: dict) -> None:
    assert renamed(deepcopy(config)) == config
