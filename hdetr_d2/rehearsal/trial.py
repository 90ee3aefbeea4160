"""The outcome of a disturbed training."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hdetr_d2.checkpoint import read_checkpoint
from hdetr_d2.engine.preemption import STATUS
from hdetr_d2.errors import UserError
from hdetr_d2.rehearsal.failures import ENDED, ERROR, Failure

TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Trial:
    """A failure that was caused once.

    at: seconds from the start to the failure. seconds: from the failure to the end of all
    processes. touched: whether the training has noticed anything. faults: sentences about what went
    wrong; without any, the trial has passed.
    """

    at: float
    seconds: float
    touched: bool
    faults: tuple[str, ...]


def faults_of_an_end(
    failure: Failure, statuses: Sequence[int | None], texts: Sequence[str]
) -> list[str]:
    """What is wrong with how the processes ended, and with their output.

    Args:
        statuses: exit status of each process; None if it did not end.
        texts: output of each process.
    """
    faults = []
    for rank, (status, text) in enumerate(zip(statuses, texts, strict=True)):
        wrong = _wrong(failure, status, text)
        faults += [f"process {rank} {wrong}"] if wrong else []
    told = sum(text.count(failure.sentence) for text in texts)
    if STATUS in statuses and not any(ENDED in text for text in texts):
        faults.append(f"it ended with status {STATUS}, and no process said so")
    if failure.goes_on and told > 1:
        faults.append(f"{failure.sentence!r} was said {told} times")
    return faults


def _wrong(failure: Failure, status: int | None, text: str) -> str:
    if status is None:
        return "did not end"
    if TRACEBACK in text:
        return f"left a traceback (status {status})"
    if failure.goes_on:
        return f"ended with status {status}" if status else ""
    if status in (0, -9, -10, -15):  # done already, killed, or no signal handlers yet
        return ""
    if status not in (2, STATUS):
        return f"ended with status {status}"
    if status == STATUS:  # reported by the main process, and by others in their logs
        count = text.count(ENDED)
        return "" if count <= 1 else f"ended with status {status} and {count} sentences"
    count = len(re.findall(f"^{ERROR}", text, flags=re.MULTILINE))
    return "" if count == 1 else f"ended with status {status} and {count} sentences"


def faults_of_files(run: Path) -> list[str]:
    """Checkpoints of a run that cannot be read, or are referred to but missing."""
    faults = []
    for path in sorted(run.glob("*.pth")):
        try:
            read_checkpoint(path)
        except UserError as error:
            faults.append(str(error))
    last = run / "last_checkpoint"
    if last.is_file() and not (run / last.read_text()).is_file():
        faults.append(f"last_checkpoint names {last.read_text()}, which is not there")
    return faults


def faults_of_weights(run: Path, reference: Path) -> list[str]:
    """Where the final checkpoint of a run differs from that of the reference run."""
    files = [each / "model_final.pth" for each in (run, reference)]
    if not files[0].is_file():
        return ["there is no model_final.pth"]
    mine, wanted = (dict(_tensors(read_checkpoint(file))) for file in files)
    if mine.keys() != wanted.keys():
        return ["model_final.pth has other tensors than that of the undisturbed run"]
    other = [name for name, value in wanted.items() if not torch.equal(mine[name], value)]
    return (
        [f"{len(other)} tensors of model_final.pth differ, the first {other[0]}"] if other else []
    )


def _tensors(content: Any, place: str = "") -> list[tuple[str, Tensor]]:
    """All tensors of a checkpoint, with their paths."""
    if isinstance(content, Tensor):
        return [(place, content)]
    items: Iterable[tuple[Any, Any]] = content.items() if isinstance(content, Mapping) else ()
    items = enumerate(content) if isinstance(content, list) else items
    return [found for key, value in items for found in _tensors(value, f"{place}/{key}")]
