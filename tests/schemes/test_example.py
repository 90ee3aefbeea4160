"""The scheme that CONTRIBUTING shows, as it stands there."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from hdetr_d2.structures import Step

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.fixture
def example() -> Any:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    names: dict[str, Any] = {}
    exec(code, names)
    return names["CountObjects"]


def test_it_adds_its_loss_and_nothing_else(example, tiny_model, make_batch):
    model, batch = tiny_model(schemes=[example(dim=32)]), make_batch([3, 1])
    losses = model(batch)
    assert losses.keys() - tiny_model(schemes=[])(batch).keys() == {"loss_count"}
    assert losses["loss_count"] > 0
    losses["loss_count"].backward()
    assert model.schemes[0].head.weight.grad.any()


def test_the_model_weights_it_where_a_step_has_parts(example, tiny_model, make_batch):
    model, batch = tiny_model(schemes=[example(dim=32)]), make_batch([2, 2])
    whole = model(batch)["loss_count"]
    half = Step(torch.tensor(4.0), share=0.5)
    parts = sum(model([item], half)["loss_count"] for item in batch)
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=0)


def test_images_without_objects(example, tiny_model, make_batch):
    losses = tiny_model(schemes=[example(dim=32)])(make_batch([0, 0]))
    assert all(loss.isfinite() for loss in losses.values())
