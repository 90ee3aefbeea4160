"""A model does the same where the default device is another one (`torch.set_default_device`): every
model and every scheme of the configs.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from hdetr_d2.structures import Step
from hdetr_d2.utils.device import on_host

sys.path.insert(0, str(Path(__file__).parent))
from recipes import SCHEMES, SETS, name_of


def learn_and_find(model: nn.Module, batch: list[dict]) -> list[Tensor]:
    """Losses, the gradient of a parameter, and what is found."""
    torch.manual_seed(0)
    losses = model.train()(batch, Step(torch.tensor(2.0, device="cpu")))
    first = next(p for p in model.parameters() if p.requires_grad)
    (gradient,) = torch.autograd.grad(torch.stack([*losses.values()]).sum(), first)
    with torch.no_grad():
        found = [each["instances"] for each in model.eval()(batch)]
    parts = [part for each in found for part in (each.pred_boxes.tensor, each.scores)]
    return [*losses.values(), gradient, *parts]


@pytest.fixture(autouse=True)
def torchvision_takes_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its suppression has a number on the default device, which is fine where that has values."""
    original = on_host()(torchvision.ops.batched_nms)
    for name, module in [*sys.modules.items()]:
        if name.startswith("hdetr_d2.") and hasattr(module, "batched_nms"):
            monkeypatch.setattr(module, "batched_nms", original)


@pytest.mark.parametrize(("path", "schemes"), SETS, ids=name_of)
def test_a_step_and_a_detection(
    tiny_model: Any, make_batch: Any, path: str, schemes: Sequence[str]
) -> None:
    options = {"schemes": [SCHEMES[name] for name in schemes]} if schemes else {}
    model = tiny_model(path, **options)
    batch = make_batch([2, 1])
    expected = learn_and_find(model, batch)
    with torch.device("meta"):  # where a tensor of the host would have no values
        found = learn_and_find(model, batch)
    assert all(map(torch.equal, found, expected))
