"""Sharded training is the training of DDP, with a part of its bytes in each process."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hdetr_d2.engine import build
from hdetr_d2.engine.build import build_parallel
from hdetr_d2.engine.config import load_config, save_config
from hdetr_d2.engine.ddp import DDP
from hdetr_d2.engine.fsdp2 import FSDP2, units
from hdetr_d2.engine.parallel import Parallel
from hdetr_d2.errors import UserError
from hdetr_d2.utils.distributed import gathered

HERE = Path(__file__).parent
SCRIPT, CONFIG = HERE / "two_processes_sharded.py", HERE / "small_recipe.py"
CHECKPOINTING = [
    f"++model.{part}.checkpointing=true" for part in ("backbone", "encoder", "decoder")
]
PROJECTS = HERE.parents[1] / "projects"
ROUTED = PROJECTS / "route_detr/configs/route_deformable_detr_shapes.py"
PLAIN = PROJECTS / "co_detr/configs/co_dino_5scale_lsj_vit_large_lvis_16ep.py"


def flat(tensors: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([each.double().flatten() for each in tensors.values()])


def kept(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """What an optimizer keeps, in one row of names."""
    each = state["state"].items()
    return {f"{number}.{name}": value for number, of in each for name, value in of.items()}


def share(file: Path) -> float:
    """The bytes of a process under FSDP2, as a share of those under DDP."""
    seen = torch.load(file, weights_only=True)
    totals = [sum(seen[way]["bytes"].values()) for way in ("fsdp2", "ddp")]
    return totals[0] / totals[1]


def assert_same_training(file: Path) -> None:
    seen = torch.load(file, weights_only=True)
    ddp, fsdp2 = seen["ddp"], seen["fsdp2"]
    # The squares of a norm are summed in another order, in float32.
    distance = (ddp["metrics"] / fsdp2["metrics"] - 1).abs().amax(0)
    assert (distance < torch.tensor([1e-6, 1e-5])).all()
    assert torch.allclose(ddp["finds"], fsdp2["finds"], rtol=0, atol=1e-6)
    states = [{**each, "optimizer": kept(each["optimizer"])} for each in (ddp, fsdp2)]
    for name in ("gradients", "model", "ema", "optimizer"):
        wanted, got = (each[name] for each in states)
        assert wanted.keys() == got.keys()
        assert all(got[key].shape == value.shape for key, value in wanted.items())
        most = flat(wanted).abs().max().clamp(min=1)
        assert (flat(wanted) - flat(got)).abs().max() < 1e-6 * most, name
    assert share(file) <= 0.6
    assert seen["fsdp2"]["optimizer"]["param_groups"] == seen["ddp"]["optimizer"]["param_groups"]


def test_steps_are_those_of_ddp(run_twice: Callable[..., None], tmp_path: Path) -> None:
    run_twice(SCRIPT, tmp_path / "seen.pth", CONFIG)
    assert_same_training(tmp_path / "seen.pth")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("accumulate", "options"),
    [
        (2, ["model.backbone.norm=bn"]),  # running statistics
        (1, CHECKPOINTING),
        (1, ["++model.freeze=[backbone,encoder]"]),
        (1, ["++model.adapters={_target_: hdetr_d2.modeling.low_rank.LowRank, rank: 2,"
             " patterns: [decoder.layers]}"]),
    ],
    ids=["accumulate", "checkpointing", "frozen", "adapters"],
)  # fmt: skip
def test_other_steps_are_those_of_ddp(
    run_twice: Callable[..., None], tmp_path: Path, accumulate: int, options: list[str]
) -> None:
    save_config(load_config(str(CONFIG), options), tmp_path / "recipe.yaml")
    run_twice(SCRIPT, tmp_path / "seen.pth", tmp_path / "recipe.yaml", accumulate)
    assert_same_training(tmp_path / "seen.pth")


@pytest.mark.slow
def test_parameters_without_dimensions(
    run_twice: Callable[..., None], shrink: Any, tmp_path: Path
) -> None:
    cfg = load_config(str(ROUTED))
    save_config(shrink(cfg), tmp_path / "recipe.yaml")
    run_twice(SCRIPT, tmp_path / "seen.pth", tmp_path / "recipe.yaml")
    assert_same_training(tmp_path / "seen.pth")
    gradients = torch.load(tmp_path / "seen.pth", weights_only=True)["fsdp2"]["gradients"]
    assert any(not each.dim() for each in gradients.values())


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "most"), [(2, 0.6), (4, 0.35)])
def test_a_process_holds_its_part_of_a_vision_transformer(
    run_processes: Callable[..., None], shrink: Any, tmp_path: Path, processes: int, most: float
) -> None:
    save_config(shrink(load_config(str(PLAIN))), tmp_path / "recipe.yaml")
    run_processes(processes, SCRIPT, tmp_path / "seen.pth", tmp_path / "recipe.yaml")
    assert share(tmp_path / "seen.pth") <= most


class Model(nn.Module):
    """Blocks in sequences, and in a list of lists; the last two have a parameter in common."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.stage = nn.Sequential(nn.Linear(9, 9), nn.Linear(3, 3))
        self.backbone.inner = nn.ModuleDict({"a": nn.Sequential(nn.Sequential(nn.Linear(9, 9)))})
        self.backbone.lists = nn.ModuleList([nn.ModuleList([nn.Linear(9, 9)])])
        self.backbone.tied = nn.ModuleList([nn.Linear(9, 9), nn.Linear(9, 9)])
        self.backbone.tied[1].weight = self.backbone.tied[0].weight
        self.decoder = nn.Module()
        self.decoder.layers = nn.ModuleList([nn.Linear(9, 9)])
        self.decoder.heads = nn.ModuleList([nn.Linear(9, 9)])
        self.schemes = nn.ModuleList([nn.Linear(9, 9)])


def test_units_are_blocks_and_layers_that_are_large_and_stand_alone() -> None:
    model = Model()
    names = {each: name for name, each in model.named_modules()}
    found = {names[each] for each in units(model, min_parameters=20)}
    blocks = {"backbone.stage.0", "backbone.inner.a.0", "backbone.lists.0.0"}
    assert found == blocks | {"decoder.layers.0"}


def test_what_is_whole_stays_as_it_is() -> None:
    content = {"model": nn.BatchNorm1d(2).state_dict()}
    assert gathered(content) is content


def settings(*options: str) -> Any:
    return load_config(str(CONFIG), list(options))


def test_one_process_has_nobody_to_share_with(caplog: pytest.LogCaptureFixture) -> None:
    assert type(build_parallel(settings("train.parallel=fsdp2"))) is Parallel
    assert "train.parallel=fsdp2 in one process" in caplog.text
    caplog.clear()
    assert type(build_parallel(settings())) is Parallel
    assert not caplog.text


def test_several_processes_are_parallel_as_the_config_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.comm, "get_world_size", lambda: 2)
    sharded = build_parallel(settings("train.parallel=fsdp2", "train.fsdp2.min_parameters=5"))
    assert isinstance(sharded, FSDP2) and sharded.min_parameters == 5
    assert isinstance(build_parallel(settings()), DDP)
    older = settings()
    del older.train.parallel, older.train.fsdp2
    assert isinstance(build_parallel(older), DDP)


def test_options_of_ddp_are_not_for_fsdp2() -> None:
    cfg = settings("train.parallel=fsdp2", "+train.ddp.static_graph=true")
    with pytest.raises(UserError, match="static_graph.* leave them out, or set train.parallel=ddp"):
        build_parallel(cfg)
