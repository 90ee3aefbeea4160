"""The same steps under DDP and under FSDP2; test_fsdp2.py runs it, in any number of processes.

What the first process has seen of them is written to a file: for each way the losses and gradient
norms of the steps, the gradients of the last one, weights, averages and what the optimizer keeps;
and how many bytes it holds. One of the steps is bad: a gradient that only the last process has, if
each has a part, is no number.
"""

import hdetr_d2  # noqa: F401

import math
import sys
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch
from detectron2.config import instantiate
from detectron2.engine import HookBase
from detectron2.utils import comm
from torch import Tensor, nn
from torch.optim import Optimizer
from two_processes import image

from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.ddp import DDP
from hdetr_d2.engine.device import Precision
from hdetr_d2.engine.ema import ModelEma
from hdetr_d2.engine.fsdp2 import FSDP2
from hdetr_d2.engine.launch import launch
from hdetr_d2.engine.parallel import Parallel
from hdetr_d2.engine.trainer import Trainer
from hdetr_d2.utils.distributed import gathered, held_bytes, own_part

STEPS, BAD = 4, 1

SPOILED = "decoder.layers.0.cross_norm.weight"


class Seen(HookBase):
    """What the steps were, and what a process holds when its gradients are there."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.metrics: list[list[float]] = []
        self.gradients: dict[str, Tensor] = {}
        self.bytes: dict[str, int] = {}

    def after_backward(self) -> None:
        trainer = self.trainer
        if trainer.iter == BAD:
            gradient = own_part(dict(trainer.module.named_parameters())[SPOILED].grad)
            last = comm.get_rank() == comm.get_world_size() - 1
            if last or not trainer.parallel.saves_together:
                gradient[-1] = math.nan
        learned = [each for group in trainer.optimizer.param_groups for each in group["params"]]
        if trainer.iter == STEPS - 1:
            kept = trainer.optimizer.state.values()
            parts: dict[str, Iterable[Tensor]] = {
                "weights": [*trainer.module.parameters(), *trainer.module.buffers()],
                "gradients": [each.grad for each in learned],
                "optimizer": [each for state in kept for each in state.values()],
                "average": [*trainer.ema.module.parameters(), *trainer.ema.module.buffers()],
            }
            self.bytes = {name: held_bytes(tensors) for name, tensors in parts.items()}
            gradients = {n: p.grad for n, p in zip(self.names, learned, strict=True)}
            self.gradients = {n: g for n, g in gathered(gradients).items() if g is not None}
            self.gradients = deepcopy(self.gradients)

    def after_step(self) -> None:
        if comm.is_main_process():
            latest = self.trainer.storage.latest()
            self.metrics.append([latest[name][0] for name in ("total_loss", "grad_norm")])


def train(cfg: Any, parallel: Parallel, accumulate: int) -> dict[str, Any]:
    torch.manual_seed(0)
    model = instantiate(cfg.model)
    named = {name: each for name, each in model.named_parameters() if each.requires_grad}
    # With a small eps the least gradients would be as good as their signs.
    optimizer: Optimizer = torch.optim.AdamW(named.values(), lr=1e-4, eps=1e-2, fused=True)
    ema = ModelEma(model, decay=0.9)
    torch.manual_seed(1)
    parallel.shard(model, optimizer)
    parallel.shard(ema.module)
    rank, size = comm.get_rank(), comm.get_world_size()
    precision = Precision("cpu")
    trainer = Trainer(
        model=model,
        make_loader=lambda done: [batch(n * size + rank) for n in range(STEPS * accumulate)],
        optimizer=optimizer,
        scaler=precision.scaler(),
        precision=precision,
        device=torch.device("cpu"),
        seed=0,
        parallel=parallel,
        accumulate=accumulate,
        clip_grad_norm=0.1,
        log_period=1,
        ema=ema,
    )
    seen = Seen([*named])
    trainer.register_hooks([seen])
    trainer.train(0, STEPS)
    states = {"model": model, "ema": ema, "optimizer": optimizer}
    return {
        "metrics": torch.tensor(seen.metrics),
        "gradients": seen.gradients,
        "bytes": seen.bytes,
        "finds": found(model, parallel),
        **{name: gathered(each.state_dict()) for name, each in states.items()},
    }


def found(model: nn.Module, parallel: Parallel) -> Tensor:
    """The scores of as many images as the number of this process says, and one."""
    model.eval()
    with parallel.whole(model), torch.no_grad():
        images = [batch(7)[0] for _ in range(comm.get_rank() + 1)]
        (first, *_) = [model([each]) for each in images]
    return first[0]["instances"].scores


def batch(number: int) -> list[dict]:
    """Two images; every third batch has no objects."""
    return [image(2 * number + n, objects=(n + number) % 4 * (number % 3 > 0)) for n in range(2)]


def main(path: str, config: str, accumulate: str = "1") -> None:
    torch.set_num_threads(1)
    cfg = load_config(config, ["data.num_classes=3"])
    ways = {"ddp": DDP(), "fsdp2": FSDP2(device=torch.device("cpu"), min_parameters=0)}
    seen = {name: train(cfg, way, int(accumulate)) for name, way in ways.items()}
    if comm.is_main_process():
        torch.save(seen, path)


if __name__ == "__main__":
    launch(main, *sys.argv[1:], device="cpu")
