import logging
from typing import Any

import pytest
import yaml
from omegaconf import DictConfig

from hdetr_d2.engine.compare import compare_configs, differences
from hdetr_d2.errors import UserError

BASE: dict[str, Any] = {
    "data": {"num_classes": 2, "class_names": ["a", "b"], "train_json": "x"},
    "dataloader": {"train": {"total_batch_size": 4, "num_workers": 2}, "test": {"num_workers": 1}},
    "model": {"_target_": "torch.nn.Linear", "in_features": 2, "encoder": {"checkpointing": False}},
    "train": {
        "epochs": 3,
        "max_iter": 9,
        "seed": 1,
        "log_period": 20,
        "resume_with_changes": False,
    },
}


def changed(**values: Any) -> DictConfig:
    cfg = DictConfig(yaml.safe_load(yaml.safe_dump(BASE)))
    for name, value in values.items():
        *nodes, last = name.split("__")
        node = cfg
        for each in nodes:
            node = node[each]
        node[last] = value
    return cfg


def test_every_differing_option_is_found() -> None:
    old, new = {"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"b": 1, "c": [2]}, "e": 3}
    assert dict(differences(old, new)) == {
        "a.c": "[1] -> [2]",
        "d": "2 -> (none)",
        "e": "(none) -> 3",
    }


def test_an_option_that_is_newer_than_the_run_and_off_is_no_difference() -> None:
    assert not dict(differences({"a": {"b": 1}}, {"a": {"b": 1, "c": None}}))
    assert dict(differences({"a": 1}, {"a": None})) == {"a": "1 -> None"}


def test_an_empty_text_is_seen() -> None:
    assert dict(differences({"a": "x"}, {"a": ""})) == {"a": "x -> ''"}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"train__log_period": 1},
        {"dataloader__train__num_workers": 0},
        {"dataloader__test__num_workers": 0},
        {"dataloader__train__on_bad_image": "skip"},
        {"data__train_json": "moved"},
        {"data__train_panoptic": "moved", "data__val_panoptic": "moved"},
        {"model__encoder__checkpointing": True},
    ],
)
def test_what_does_not_matter_is_free(change: dict[str, Any], caplog: Any) -> None:
    compare_configs(yaml.safe_dump(BASE), changed(**change))
    assert not caplog.records


def test_another_length_is_followed_and_told(caplog: Any) -> None:
    with caplog.at_level(logging.WARNING):
        compare_configs(yaml.safe_dump(BASE), changed(train__epochs=6, train__max_iter=18))
    assert "another train.epochs: 3 -> 6" in caplog.text
    assert "another train.max_iter: 9 -> 18" in caplog.text


@pytest.mark.parametrize(
    ("change", "listed"),
    [
        ({"model__in_features": 3}, "model.in_features: 2 -> 3"),
        ({"model__bias": False}, r"model.bias: \(none\) -> False"),
        ({"train__seed": 2}, "train.seed: 1 -> 2"),
        ({"data__class_names": ["a", "c"]}, "data.class_names"),
        ({"dataloader__train__total_batch_size": 8}, "total_batch_size: 4 -> 8"),
    ],
)
def test_what_matters_is_refused_unless_it_is_wanted(
    change: dict[str, Any], listed: str, caplog: Any
) -> None:
    with pytest.raises(UserError, match=listed):
        compare_configs(yaml.safe_dump(BASE), changed(**change))
    with caplog.at_level(logging.WARNING):
        wanted = changed(**change, train__resume_with_changes=True)
        compare_configs(yaml.safe_dump(BASE), wanted)
    assert "Resuming with changes" in caplog.text
