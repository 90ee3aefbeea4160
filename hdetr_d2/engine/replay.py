"""Replays a bad step to find the first value that is not finite."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from detectron2.structures import BitMasks, Boxes, Instances
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from hdetr_d2.checkpoint import read_checkpoint
from hdetr_d2.checkpoint.weights import put_weights
from hdetr_d2.engine.bad_step_files import WEIGHTS, process_file
from hdetr_d2.engine.build import build_model
from hdetr_d2.engine.device import Precision, choose_device
from hdetr_d2.engine.trainer import seed_step
from hdetr_d2.errors import UserError
from hdetr_d2.structures import Step

SAFE = (Instances, Boxes, BitMasks)
"""What a batch may contain besides tensors and plain Python."""


@dataclass(frozen=True)
class Replayed:
    """The results of a replayed step of one process, forward and backward.

    losses: by name. output: name of the first module whose output is not finite. gradient: name of
    the first parameter, in model order, whose gradient is not finite. None if there is none.
    """

    losses: dict[str, float]
    output: str | None
    gradient: str | None


def replay(folder: str | Path, *, process: int = 0, device: str = "auto") -> Replayed:
    """Replays a step stored by `train.keep_bad_steps`.

    Args:
        folder: the folder of the step, e.g. output/mine/bad_steps/0000123.
        process: rank of the process whose batch is used.
        device: device to run on; results differ slightly if the training ran on another one.

    Raises:
        UserError: the files do not exist or cannot be read as such.
    """
    folder = Path(folder)
    weights, kept = read_checkpoint(folder / WEIGHTS), _read_batches(folder / process_file(process))
    cfg = OmegaConf.create(weights["metadata"]["config"])
    cfg.train.device = str(choose_device(device, option="device"))
    model = build_model(cfg, weights_follow=True)
    put_weights(model, weights["model"], str(folder / WEIGHTS))
    amp = cfg.train.amp
    precision = Precision.choose(
        enabled=amp.enabled, dtype=amp.dtype, device=torch.device(cfg.train.device)
    )
    seed_step(kept["seed"], kept["iteration"], process)
    return _repeat(model.train(), kept, precision)


def _read_batches(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path} does not exist: train.keep_bad_steps=3 keeps such files")
    try:
        with torch.serialization.safe_globals([*SAFE]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # every layer of the format raises its own errors
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def _repeat(model: nn.Module, kept: dict[str, Any], precision: Precision) -> Replayed:
    device = next(model.parameters()).device
    ground_truths = torch.full((), kept["ground_truths"], device=device)
    images = sum(map(len, kept["batches"]))
    losses: dict[str, float] = {}
    with _first_bad_output(model) as bad:
        for batch in kept["batches"]:
            step = Step(ground_truths, len(batch) / images, kept["progress"])
            with precision.autocast():
                found = model(batch, step)
            torch.stack([*found.values()]).sum().backward()
            for name, value in found.items():
                losses[name] = losses.get(name, 0.0) + value.item()
    gradient = next((n for n, p in model.named_parameters() if not _is_finite(p.grad)), None)
    return Replayed(losses, next(iter(bad), None), gradient)


@contextmanager
def _first_bad_output(model: nn.Module) -> Iterator[list[str]]:
    """Collects the names of modules with non-finite outputs, in the order in which they finish."""
    bad: list[str] = []

    def watch(name: str, module: nn.Module) -> Any:
        def look(module: nn.Module, given: Any, output: Any) -> None:
            if not all(map(_is_finite, tree_leaves(output))):
                bad.append(name)

        return module.register_forward_hook(look)

    handles = [watch(name, module) for name, module in model.named_modules() if name]
    try:
        yield bad
    finally:
        for handle in handles:
            handle.remove()


def _is_finite(value: Any) -> bool:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return True
    return bool(value.isfinite().all())
