"""Everything needed to replay a non-finite step: batch, random state and weights."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from detectron2.utils import comm
from torch import nn

from hdetr_d2.checkpoint import write_durably
from hdetr_d2.utils.distributed import gathered

logger = logging.getLogger(__name__)

FOLDER = "bad_steps"
WEIGHTS = "weights.pth"


def process_file(rank: int) -> str:
    """The name of the file that holds the batch of a process."""
    return f"process_{rank}.pth"


class BadStepFiles:
    """Writes the first `most` bad steps of a training to `folder`/bad_steps/ITERATION: weights.pth,
    which is a checkpoint, and for every process its batch and the random state.

    A bad step changes no weight, so the weights can be saved afterwards. The running statistics of
    normalisation layers, however, already include its images.
    """

    def __init__(
        self, folder: str, *, most: int, model: nn.Module, metadata: Mapping[str, Any]
    ) -> None:
        """
        Args:
            model: not wrapped in DistributedDataParallel; a sharded model is saved as a whole.
            metadata: stored with the weights: class names, and the config as YAML.
        """
        self.folder = Path(folder) / FOLDER
        self.left = most
        self.model = model
        self.metadata = metadata

    def keep(self, iteration: int, batches: Sequence[list[dict]], **position: Any) -> None:
        """Called by all processes, before the next step.

        Args:
            batches: the micro-batches of this process.
            position: everything else that determines the step, as plain Python values.

        Raises:
            UserError: the files cannot be written.
        """
        if not self.left:
            return
        self.left -= 1
        folder = self.folder / f"{iteration:07d}"
        weights = {"model": gathered(self.model.state_dict())}
        if comm.is_main_process():
            folder.mkdir(parents=True, exist_ok=True)
            _write(
                folder / WEIGHTS, {**weights, "metadata": {**self.metadata, "iteration": iteration}}
            )
        comm.synchronize()  # ensures that the folder exists
        content = {"batches": [*batches], "iteration": iteration, **position}
        _write(folder / process_file(comm.get_rank()), content)
        logger.info("`hdetr-d2 replay %s` repeats the step", folder)


def _write(path: Path, content: dict[str, Any]) -> None:
    write_durably(path, lambda file: torch.save(content, file))
