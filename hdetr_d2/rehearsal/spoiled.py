"""Makes the images of one process NaN in one step of a training."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from detectron2.utils import comm

from hdetr_d2.engine import train


@dataclass(frozen=True)
class Spoil:
    """The rank of the process, and the iteration in which its images are NaN."""

    rank: int
    iteration: int

    def install(self) -> None:
        """Patches the data loader of this process, if it is the selected one."""
        build = train.build_train_loader

        def build_spoiled(cfg: Any, start: int) -> Any:
            loader = build(cfg, start)
            if comm.get_rank() != self.rank:
                return loader
            return SpoiledLoader(loader, self.iteration - start)

        patch.object(train, "build_train_loader", build_spoiled).start()


class SpoiledLoader:
    """The batches of another loader, one of them with NaN images."""

    def __init__(self, loader: Any, bad: int) -> None:
        self.loader = loader
        self.bad = bad
        self.counts = getattr(loader, "counts", {})

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        for number, batch in enumerate(self.loader):
            if number == self.bad:
                nan = float("nan")
                batch = [{**x, "image": torch.full_like(x["image"].float(), nan)} for x in batch]
            yield batch
