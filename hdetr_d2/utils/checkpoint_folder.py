"""The folder of a training, given in the place of one of its checkpoints."""

from pathlib import Path

from hdetr_d2.errors import UserError


def refuse_checkpoints(folder: Path) -> None:
    """
    Raises:
        UserError: several models may be in this folder; one of them is named.
    """
    if checkpoints := sorted(folder.glob("*.pth")):
        raise UserError(f"{folder} is a folder of checkpoints: name one, as {checkpoints[-1]}")
