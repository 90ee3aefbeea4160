"""Three steps of which the second is bad in the last process, under DDP and under FSDP2;
test_replay.py runs it. Each way keeps the step in a folder of its own.
"""

import hdetr_d2  # noqa: F401

import math
import sys
from pathlib import Path

import torch
from detectron2.config import instantiate
from detectron2.utils import comm
from two_processes import CONFIG, image

from hdetr_d2.engine.bad_step_files import BadStepFiles
from hdetr_d2.engine.config import config_text, load_config
from hdetr_d2.engine.ddp import DDP
from hdetr_d2.engine.device import Precision
from hdetr_d2.engine.fsdp2 import FSDP2
from hdetr_d2.engine.launch import launch
from hdetr_d2.engine.parallel import Parallel
from hdetr_d2.engine.trainer import Trainer


def batches() -> list[list[dict]]:
    """Of this process."""
    rank = comm.get_rank()
    torch.manual_seed(rank)
    found = [[image(2 * step + rank, objects=2 + rank)] for step in range(3)]
    if rank == comm.get_world_size() - 1:
        found[1][0]["image"] = torch.full((3, 64, 64), math.nan)
    return found


def train(folder: Path, parallel: Parallel) -> None:
    cfg = load_config(str(CONFIG), ["data.num_classes=3"])
    torch.manual_seed(0)
    model = instantiate(cfg.model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    parallel.shard(model, optimizer)
    files = BadStepFiles(
        str(folder), most=1, model=model, metadata={"config": config_text(cfg), "class_names": []}
    )
    precision = Precision("cpu")
    trainer = Trainer(
        model=model,
        make_loader=lambda done: batches(),
        optimizer=optimizer,
        scaler=precision.scaler(),
        precision=precision,
        device=torch.device("cpu"),
        seed=0,
        parallel=parallel,
        bad_step_files=files,
    )
    trainer.train(0, 3)


def main(folder: str) -> None:
    torch.set_num_threads(1)
    train(Path(folder, "ddp"), DDP())
    train(Path(folder, "fsdp2"), FSDP2(device=torch.device("cpu"), min_parameters=0))


if __name__ == "__main__":
    launch(main, *sys.argv[1:], device="cpu")
