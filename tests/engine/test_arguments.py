"""Options of the training script on both sides of overrides."""

import pytest

from hdetr_d2.engine.main import parse


def test_options_may_stand_behind_overrides() -> None:
    args = parse(
        ["--config-file", "x", "--scheme", "one", "optimizer.lr=1e-4", "--scheme", "two"]
        + ["--epochs", "3", "train.seed=7", "~a", "--data", "folder", "--resume"]
    )
    assert (args.config_file, args.scheme, args.epochs) == ("x", ["one", "two"], 3.0)
    assert (args.data, args.resume, args.eval_only) == ("folder", True, False)
    assert args.opts == ["optimizer.lr=1e-4", "train.seed=7", "~a"]


@pytest.mark.parametrize("given", [[], ["--resume"], ["a=1"], ["a=1", "--resume"]])
def test_with_and_without_overrides(given: list[str]) -> None:
    args = parse(given)
    assert args.opts == [each for each in given if each == "a=1"]
    assert args.resume == ("--resume" in given)


@pytest.mark.parametrize(
    ("behind", "reason"),
    [(["--epochs", "many"], "invalid float value: 'many'"), (["--schemes", "b"], "unrecognized")],
)
def test_what_is_no_option_is_told(
    behind: list[str], reason: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        parse(["a=1", *behind])
    assert reason in capsys.readouterr().err


def test_two_hyphens_are_no_option() -> None:
    assert parse(["a=1", "--", "b=2"]).opts == ["a=1", "--", "b=2"]
