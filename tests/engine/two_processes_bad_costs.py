"""A training in which only the second process has costs that are not finite; test_bad_costs.py runs
it in two processes. Each of them writes what ended it to its own file.
"""

import hdetr_d2  # noqa: F401

import sys
from pathlib import Path

import torch
from detectron2.utils import comm
from one_weight import OneWeight, make_trainer
from torch import Tensor

from hdetr_d2.engine.launch import launch
from hdetr_d2.errors import UserError
from hdetr_d2.structures import Step
from hdetr_d2.utils.observation import observe


class Observing(OneWeight):
    def forward(self, batch: list[dict], step: Step) -> dict[str, Tensor]:
        bad = torch.tensor([item["image_id"] == 77 for item in batch])
        observe("matching/nonfinite/main", bad[None, :, None] * torch.tensor([1, 0, 0]))
        return super().forward(batch, step)


class Batches(list):
    """What a loader is to the trainer: batches, and what it counted of them in this process."""

    counts: dict[str, int]


def train(folder: str) -> None:
    rank, model = comm.get_rank(), Observing()
    ids = [(5, 6), (77, 7)][rank]
    batches = Batches([[{"image_id": i, "instances": []} for i in ids]] * 3)
    batches.counts = {"skipped_images": 1 + rank}
    trainer = make_trainer(model, batches, max_bad_steps=2)
    try:
        trainer.train(0, 3)
    except UserError as error:
        # Metrics are kept where they are written.
        (skipped, _), none = comm.all_gather(trainer.storage.latest().get("data/skipped_images"))
        assert none is None
        Path(folder, f"{rank}.txt").write_text(f"{skipped} skipped, {model.weight.item()} {error}")


if __name__ == "__main__":
    launch(train, sys.argv[1], device="cpu")
