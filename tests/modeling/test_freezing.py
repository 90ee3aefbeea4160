"""Parts of a model that do not learn."""

from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig

from hdetr_d2.checkpoint import Checkpointer

COMMON = Path(__file__).parents[2] / "configs" / "common"
MASKS = "common/models/deformable_detr_pp_masks.py"


def only_masks():
    return LazyConfig.load(str(COMMON / "masks.py")).masks_only.freeze


def test_only_the_mask_head_learns(tiny_model, make_batch):
    model = tiny_model(MASKS, freeze=only_masks())
    losses = model(make_batch([2, 1]))
    sum(losses.values()).backward()
    learned = {name for name, p in model.named_parameters() if p.grad is not None}
    assert learned == {f"mask_head.{name}" for name, _ in model.mask_head.named_parameters()}


def test_a_pattern_that_matches_nothing(tiny_model):
    with pytest.raises(ValueError, match="model.freeze: no parameter .*segmenter"):
        tiny_model(freeze=["^segmenter"])


@pytest.mark.parametrize(("source", "target"), [(None, MASKS), (MASKS, None)])
def test_masks_start_from_boxes_and_boxes_from_masks(tiny_model, tmp_path, source, target):
    first, second = (tiny_model(*([path] if path else [])) for path in (source, target))
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(1)
    Checkpointer(first, str(tmp_path)).save("model")
    Checkpointer(second).load(str(tmp_path / "model.pth"), checkpointables=[])
    given, taken = first.state_dict(), second.state_dict()
    assert {name for name in taken if name not in given} == {
        name for name in taken if target and name.startswith("mask_head.")
    }
    assert all(torch.equal(given[name], taken[name]) for name in given.keys() & taken.keys())
