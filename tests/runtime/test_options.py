"""What is asked of a model, in one object."""

from argparse import ArgumentParser, Namespace
from dataclasses import fields, replace
from typing import Any, get_type_hints

import pytest

from hdetr_d2.commands.inference_options import add_inference_options
from hdetr_d2.errors import UserError
from hdetr_d2.runtime import options as module
from hdetr_d2.runtime.options import InferenceKeywords, InferenceOptions

OTHERS: dict[str, Any] = {
    "score_threshold": 0.25,
    "device": "cpu",
    "precision": "bfloat16",
    "batch_size": 3,
    "tile": 64,
    "overlap": 0.5,
    "trust": ["mine"],
}


class Opened:
    """A predictor that notes how it was opened and tiled."""

    def __init__(self, model: object, **options: object) -> None:
        self.given: tuple[object, ...] = (model, options)

    def tiled(self, *given: object, **options: object) -> "Opened":
        self.given = (*self.given, given, options)
        return self


def test_a_model_is_opened_and_tiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Predictor", Opened)
    opens = {"device": "cpu", "precision": "bfloat16", "trust": ["mine"]}
    options = InferenceOptions(**OTHERS)
    assert options.open("m.pth").given == ("m.pth", opens, (64, 0.5), {"batch_size": 3})
    assert options.open_whole("m.pth").given == ("m.pth", opens)
    assert replace(options, tile=None).open("m.pth").given == ("m.pth", opens)


def test_what_opens_a_model_otherwise() -> None:
    options = InferenceOptions()
    opening = {
        name for name in OTHERS if not options.opens_like(replace(options, **{name: OTHERS[name]}))
    }
    assert opening == {"device", "precision", "trust"}


def test_only_what_is_changed_is_told() -> None:
    assert InferenceOptions().changed() == {}
    assert InferenceOptions(tile=64, score_threshold=0).changed() == {
        "score_threshold": 0,
        "tile": 64,
    }
    assert InferenceOptions(**OTHERS).changed() == OTHERS
    assert {field.name for field in fields(InferenceOptions)} == set(OTHERS)
    assert get_type_hints(InferenceKeywords) == get_type_hints(InferenceOptions)


def test_a_command_has_every_option() -> None:
    parser = ArgumentParser()
    add_inference_options(parser)
    assert InferenceOptions.of(parser.parse_args([])) == InferenceOptions(trust=[])
    words = "--score-threshold 0.25 --device cpu --precision bfloat16 --batch-size 3 --tile 64"
    words += " --overlap 0.5 --trust mine"
    assert InferenceOptions.of(parser.parse_args(words.split())) == InferenceOptions(**OTHERS)
    assert InferenceOptions.of(Namespace(tile=32, other=1)) == InferenceOptions(tile=32)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"score_threshold": 50}, "score_threshold=50 must be from 0 to 1; for 50 percent write"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
    ],
)
def test_what_no_model_can_be_asked(given: dict[str, Any], fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        InferenceOptions(**given)
