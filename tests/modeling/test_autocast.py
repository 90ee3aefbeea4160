"""Training in 16 bits: every model and every scheme of the configs."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hdetr_d2.ops.autocast import without_gradient

sys.path.insert(0, str(Path(__file__).parent))
from recipes import RECIPES, SCHEMES


def gives_casts_away(module: nn.Module, _: Any) -> None:
    """Some releases of PyTorch (2.10) let autocast remember casts that were made without a
    gradient: the weights would learn nothing from what follows.
    """
    learns = any(p.requires_grad for p in module.parameters(recurse=False))
    assert torch.is_grad_enabled() or not torch.is_autocast_cache_enabled() or not learns


@pytest.mark.parametrize(("path", "scheme"), RECIPES)
def test_every_parameter_gets_a_gradient(
    tiny_model: Any, make_batch: Any, path: str, scheme: str | None
) -> None:
    options = {} if scheme is None else {"schemes": [SCHEMES[scheme]]}
    model = tiny_model(path, encoder__sizes__dropout=0.0, **options)
    for module in model.modules():
        module.register_forward_pre_hook(gives_casts_away)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = model(make_batch([2, 1]))
    sum(losses.values()).backward()
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    gradients = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    assert [name for name, gradient in gradients.items() if gradient is None] == []
    assert all(gradient.isfinite().all() for gradient in gradients.values())


def product(layer: nn.Linear, x: Tensor) -> tuple[Tensor, Tensor]:
    """Twice the same, first without a gradient."""
    with without_gradient(x.device):
        first = layer(x)
    return first, layer(x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, None], ids=str)
def test_a_pass_without_gradient_leaves_nothing_behind(dtype: torch.dtype | None) -> None:
    layer, x = nn.Linear(3, 2), torch.randn(4, 3)
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        first, second = product(layer, x)
        assert torch.is_autocast_cache_enabled()
    assert torch.equal(first, second)
    assert (first.dtype, first.requires_grad) == (dtype or torch.float32, False)
    second.float().sum().backward()
    assert layer.weight.grad is not None


def test_a_device_without_autocast_has_such_a_pass_too() -> None:
    first, second = product(nn.Linear(3, 2, device="meta"), torch.randn(4, 3, device="meta"))
    assert (first.requires_grad, second.requires_grad) == (False, True)
