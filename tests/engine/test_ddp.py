import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from detectron2.config import LazyConfig
from torch import nn

from hdetr_d2.engine import ddp
from hdetr_d2.engine.config import load_config, save_config

SCRIPT = Path(__file__).with_name("two_processes.py")
SCHEMES = Path(__file__).parents[2] / "configs" / "common" / "schemes.py"
# Noise and places are drawn anew for every part; what a teacher says is divided by what it says
# of a part.
OF_PARTS = {"denoising", "contrastive_denoising", "kd_detr", "teach_detr"}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def whole(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gradients of the whole batch in one process."""
    path = tmp_path_factory.mktemp("gradients") / "whole.pth"
    script.step(str(path))
    return path


def assert_same_gradients(one: Path, other: Path) -> None:
    expected, got = torch.load(one), torch.load(other)
    assert expected.keys() == got.keys()
    for name, gradient in expected.items():
        assert gradient is not None, name
        distance = (got[name] - gradient).norm()
        assert distance <= 1e-5 * gradient.norm() + 1e-9, f"{name}: {distance}"


def test_two_micro_batches_are_the_whole_batch(
    script: ModuleType, whole: Path, tmp_path: Path
) -> None:
    script.step(str(tmp_path / "parts.pth"), accumulate=2)
    assert_same_gradients(whole, tmp_path / "parts.pth")


def test_two_processes_of_which_one_sees_empty_images_are_the_whole_batch(
    run_twice: Callable[..., None], whole: Path, tmp_path: Path
) -> None:
    run_twice(SCRIPT, tmp_path / "two.pth")
    assert_same_gradients(whole, tmp_path / "two.pth")


def test_two_processes_that_are_taught_are_the_whole_batch(
    script: ModuleType, run_twice: Callable[..., None], tmp_path: Path
) -> None:
    recipe = SCRIPT.with_name("small_taught_recipe.py")
    script.step(str(tmp_path / "whole.pth"), str(recipe))
    run_twice(SCRIPT, tmp_path / "two.pth", recipe)
    assert_same_gradients(tmp_path / "whole.pth", tmp_path / "two.pth")


def packs() -> list[list[str]]:
    """Every scheme that is the same in parts, in as few models as they go together in."""
    found: list[dict[str, type]] = []
    nodes = LazyConfig.load(str(SCHEMES)).items()
    for name, kind in ((name, node["_target_"]) for name, node in nodes if "_target_" in node):
        fitting = [
            pack
            for pack in found
            if kind not in pack.values()
            and not (kind.sets_capacity and any(each.sets_capacity for each in pack.values()))
        ]
        if name in OF_PARTS:
            continue
        if not fitting:
            found.append({})
        (fitting or found)[-1][name] = kind
    return [[*pack] for pack in found]


@pytest.mark.parametrize("names", packs(), ids="+".join)
def test_parts_of_a_step_are_the_whole_batch_under_every_scheme(
    script: ModuleType,
    run_twice: Callable[..., None],
    small_schemes: dict,
    tmp_path: Path,
    names: list[str],
) -> None:
    cfg = load_config(str(script.CONFIG))
    cfg.model.schemes = [small_schemes[name] for name in names]
    recipe = tmp_path / "recipe.yaml"
    save_config(cfg, recipe)
    script.step(str(tmp_path / "whole.pth"), str(recipe))
    script.step(str(tmp_path / "parts.pth"), str(recipe), accumulate=2)
    run_twice(SCRIPT, tmp_path / "two.pth", recipe)
    for parts in ("parts.pth", "two.pth"):
        assert_same_gradients(tmp_path / "whole.pth", tmp_path / parts)


@pytest.mark.parametrize(
    ("norm", "options", "broadcast"),
    [
        (nn.GroupNorm(1, 2), {}, False),
        (nn.BatchNorm2d(2), {}, True),  # its running statistics change
        (nn.BatchNorm2d(2, track_running_stats=False), {}, False),
        (nn.GroupNorm(1, 2), {"broadcast_buffers": True}, True),
    ],
    ids=str,
)
def test_only_buffers_that_change_are_sent(
    monkeypatch: pytest.MonkeyPatch, norm: nn.Module, options: dict, broadcast: bool
) -> None:
    monkeypatch.setattr(ddp, "DistributedDataParallel", lambda model, **given: given)
    given = ddp.DDP(**options).wrap(nn.Sequential(nn.Conv2d(3, 2, 1), norm))
    sends = next(iter(options), ddp._SENDS)
    assert given == {sends: broadcast, "gradient_as_bucket_view": True}


def test_the_wrapper_is_asked_in_words_that_it_still_knows(tmp_path: Path) -> None:
    """Without a warning of an option that is to go."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            ddp.DDP().wrap(nn.Conv2d(3, 2, 1))
    finally:
        torch.distributed.destroy_process_group()
