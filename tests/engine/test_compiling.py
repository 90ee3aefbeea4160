import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch._dynamo.utils import counters

from hdetr_d2.engine.compiling import PARTS, compile_parts
from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.resolve import check_options
from hdetr_d2.engine.shipped import shipped_config
from hdetr_d2.engine.train import parts_to_compile
from hdetr_d2.errors import UserError

sys.path.insert(0, str(Path(__file__).parents[1] / "modeling"))
from recipes import PLUS_PLUS


def step(model: nn.Module, batch: list[dict]) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Losses and gradients."""
    torch.manual_seed(0)
    model.zero_grad()
    losses = model.train()(batch)
    torch.stack([*losses.values()]).sum().backward()
    return losses, [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.slow
def test_the_same_numbers_in_one_piece(tiny_model: Any, make_batch: Any) -> None:
    """Each part in one graph, which is compiled for two sizes of images and no more."""
    model = tiny_model(PLUS_PLUS, decoder__num_layers=1, encoder__num_layers=1)
    compiled = copy.deepcopy(model)
    torch._dynamo.reset()
    counters.clear()
    compile_parts(compiled, PARTS, backend="aot_eager")
    graphs = []
    for size in [(64, 96), (128, 96), (96, 160)]:
        batch = make_batch([2, 1], size=size)
        losses, gradients = step(compiled, batch)
        expected, of_them = step(model, batch)
        torch.testing.assert_close(losses, expected)
        torch.testing.assert_close(gradients, of_them, rtol=1e-3, atol=1e-4)
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[0] == len(PARTS) and graphs[1] == graphs[2]
    assert not counters["graph_break"]
    assert [*compiled.state_dict()] == [*model.state_dict()]


@pytest.mark.parametrize("parts", [["criterion"], "encoder", 3])
def test_no_other_part_is_compiled(parts: Any) -> None:
    cfg = load_config(shipped_config("quickstart/detr_shapes.py"))
    check_options(cfg)
    cfg.train.compile = parts
    with pytest.raises(UserError, match="train.compile=.* must be a list of backbone, neck, enc"):
        check_options(cfg)


def test_parts_of_a_sharded_model_are_not_compiled() -> None:
    options = {"compile": ["encoder"], "parallel": "ddp"}
    assert parts_to_compile(OmegaConf.create({"train": options})) == ["encoder"]
    with pytest.raises(UserError, match="train.compile needs train.parallel=ddp"):
        parts_to_compile(OmegaConf.create({"train": {**options, "parallel": "fsdp2"}}))
    assert parts_to_compile(OmegaConf.create({"train": {}})) == []
