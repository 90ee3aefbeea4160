"""Programs exported by torch.export."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from hdetr_d2.errors import UserError
from hdetr_d2.runtime.card import KEY, Card
from hdetr_d2.runtime.session import Reopened
from hdetr_d2.utils.forks import let_forks_run


class ProgramSession(Reopened):
    """Runs a program; see `Session`.

    Args:
        path: path of a .pt2 file.
        device: "auto" or "cpu".
        threads: number of PyTorch threads, for all models of this process.

    Raises:
        UserError: the file cannot be read, or the device is not the CPU.
    """

    def __init__(self, path: str | Path, device: str = "auto", threads: int | None = None) -> None:
        super().__init__(path, device, threads)
        if threads is not None:
            torch.set_num_threads(threads)
        let_forks_run()
        if device not in ("auto", "cpu"):
            raise UserError(f"device={device}: the program in {path} is one of the CPU")
        extra = {KEY: ""}
        try:
            self.program = torch.export.load(str(path), extra_files=extra).module()
        except (OSError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"{path} cannot be read as a program: {reason}") from error
        self.card = Card.from_json(extra[KEY] or None, path)

    @torch.inference_mode()
    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = self.program(*map(torch.from_numpy, inputs.values()))
        return {name: out.numpy() for name, out in zip(self.card.outputs, outputs, strict=True)}
