"""What is quoted is read as it was; what is typed in a shell arrives as it was."""

import shlex

import pytest
from omegaconf import OmegaConf

from hdetr_d2.engine.config import load_config
from hdetr_d2.utils.override_text import for_shell, quoted

RECIPE = "custom/deformable_detr_coco_json_small.py"
TEXTS = ["/a/b", "../a.b", "a/b c", "it's", "true", "1e3", "a=b,c", "", "mine-2", "Null", "é"]
TEXTS += ["a/é", "C:\\a b\\", "\\", "a\\\\", "a\\'b", "two\nlines", "$HOME", 'a "b"']


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_values_of_overrides(text: str) -> None:
    (override,) = shlex.split(for_shell(f"train.output_dir={quoted(text)}"))
    cfg = load_config(RECIPE, [override])
    assert OmegaConf.to_container(cfg.train, resolve=False)["output_dir"] == text


def test_what_is_plain_stays_as_it_is() -> None:
    assert quoted("output/mine") == "output/mine"
    assert quoted("/runs/my-run/model_final.pth") == "/runs/my-run/model_final.pth"
    assert quoted("first_run") == "first_run"
    assert quoted("a b/c") == "'a b/c'"
    assert quoted("null") == "'null'"
    assert for_shell("train.output_dir=output/mine") == "train.output_dir=output/mine"


def test_double_quotes_where_they_do() -> None:
    assert for_shell("a=[b,'c d']") == "\"a=[b,'c d']\""
    assert for_shell("a=[$b]") == "'a=[$b]'"
