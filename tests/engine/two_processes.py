"""One step on four images, of which the first two have no objects; test_ddp.py runs it.

As a script of two processes, the first of them sees empty images only.
"""

import hdetr_d2  # noqa: F401

import sys
from pathlib import Path

import torch
from detectron2.config import instantiate
from detectron2.engine import HookBase
from detectron2.structures import Boxes, Instances
from detectron2.utils import comm

from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.ddp import DDP
from hdetr_d2.engine.device import Precision
from hdetr_d2.engine.launch import launch
from hdetr_d2.engine.trainer import Trainer

CONFIG = Path(__file__).with_name("small_recipe.py")
OBJECTS = (0, 0, 3, 1)


def image(number: int, objects: int) -> dict:
    generator = torch.Generator().manual_seed(number)
    corners = 40 * torch.rand(objects, 2, generator=generator)
    instances = Instances((64, 64))
    instances.gt_boxes = Boxes(torch.cat([corners, corners + 4 + 16 * torch.rand(objects, 2)], 1))
    instances.gt_classes = torch.arange(objects) % 3
    pixels = torch.randint(0, 256, (3, 64, 64), generator=generator, dtype=torch.uint8)
    found = instances[1:]
    found.scores = torch.linspace(0.9, 0.4, len(found))
    taught = {"instances": instances, "teacher": found}
    return {"image": pixels, "image_id": number, "height": 64, "width": 64, **taught}


class Save(HookBase):
    def __init__(self, path: str) -> None:
        self.path = path

    def after_backward(self) -> None:
        if comm.is_main_process():
            gradients = {name: p.grad for name, p in self.trainer.module.named_parameters()}
            torch.save(gradients, self.path)


def step(path: str, config: str = str(CONFIG), accumulate: int = 1) -> None:
    """Write the gradients, by parameter name, to `path`."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = instantiate(load_config(config, ["data.num_classes=3"]).model)
    torch.manual_seed(1)
    images = [image(number, objects) for number, objects in enumerate(OBJECTS)]
    parts = comm.get_world_size() * accumulate
    size = len(images) // parts
    mine = [images[start : start + size] for start in range(0, len(images), size)]
    precision = Precision("cpu")
    trainer = Trainer(
        model=model,
        make_loader=lambda done: iter(mine[comm.get_rank() :: comm.get_world_size()]),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
        scaler=precision.scaler(),
        precision=precision,
        device=torch.device("cpu"),
        seed=0,
        parallel=DDP() if comm.get_world_size() > 1 else None,
        accumulate=accumulate,
    )
    trainer.register_hooks([Save(path)])
    trainer.train(0, 1)


if __name__ == "__main__":
    launch(step, *sys.argv[1:], device="cpu")
