"""Possible failures, each as an object that causes it in a training."""

import os
import random
import resource
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hdetr_d2.rehearsal.spoiled import Spoil
from hdetr_d2.rehearsal.training import Training, kill

ENDED = "the training ends"
ERROR = "error: "


@dataclass
class Place:
    """The setting of a rehearsed training.

    run: its output folder. data: folder of its data set. size: size of all files of a run, in
    bytes. checkpoint: size of one checkpoint, in bytes. steps: number of steps of the training.
    count: number of processes.
    """

    run: Path
    data: Path
    size: int
    checkpoint: int
    steps: int
    count: int


class Failure:
    """Does something to a training at a given moment; by default nothing.

    name: name of the failure in options. what: description for the table. goes_on: whether the
    training should continue to its end undisturbed. sentence: what the training reports if it
    notices the failure, without repetition.
    """

    name: str
    what: str
    goes_on: ClassVar[bool] = False
    sentence: ClassVar[str] = ERROR

    def lacks(self, folder: Path) -> str:
        """Why the failure cannot be caused here; empty if it can."""
        return ""

    def prepare(self, place: Place, chance: random.Random) -> Spoil | None:
        """Called before the training starts."""
        return None

    def strike(self, training: Training, place: Place, chance: random.Random) -> None:
        """Called at some moment during the training."""

    def heal(self, place: Place) -> None:
        """Called before the training is resumed."""

    def clean(self, place: Place) -> None:
        """Called at the very end."""


@dataclass
class Signal(Failure):
    """Sends a signal that requests the end to all processes, or to one."""

    number: signal.Signals
    sentence: ClassVar[str] = ENDED

    def __post_init__(self) -> None:
        self.name = self.number.name.lower()
        self.what = f"{self.number.name} to all processes, or to one"

    def strike(self, training: Training, place: Place, chance: random.Random) -> None:
        one = [chance.randrange(place.count)] if chance.random() < 0.5 else range(place.count)
        for rank in one:
            training.send(rank, self.number)


class FullDisk(Failure):
    """The run is on a small disk of its own, which something else fills."""

    name, what = "full-disk", "the disk of the run fills"

    def lacks(self, folder: Path) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        mounted = subprocess.run([*MOUNT, "size=1m", "tmpfs", folder], capture_output=True)
        if mounted.returncode:
            return "a file system in memory cannot be mounted"
        subprocess.run(["umount", folder], check=True)
        return ""

    def prepare(self, place: Place, chance: random.Random) -> None:
        place.run.mkdir(parents=True)
        size = f"size={2 * place.size}"
        subprocess.run([*MOUNT, size, "tmpfs", place.run], check=True)

    def strike(self, training: Training, place: Place, chance: random.Random) -> None:
        # Part of a checkpoint may still fit.
        left = int(chance.random() * place.checkpoint)
        disk = os.statvfs(place.run)
        with (place.run / "filling").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, disk.f_bavail * disk.f_frsize - left))

    def heal(self, place: Place) -> None:
        (place.run / "filling").unlink(missing_ok=True)

    def clean(self, place: Place) -> None:
        subprocess.run(["umount", "--lazy", place.run], check=True)


MOUNT = ("mount", "-t", "tmpfs", "-o")


class FileLimit(Failure):
    """No file of the main process may become as large as a checkpoint."""

    name, what = "file-limit", "a limit of the size of files (RLIMIT_FSIZE)"

    def strike(self, training: Training, place: Place, chance: random.Random) -> None:
        process = training.processes[0].pid
        if training.is_running and process is not None:
            limit = int(place.checkpoint * chance.uniform(0.3, 0.6))
            resource.prlimit(process, resource.RLIMIT_FSIZE, (limit, limit))


class LostData(Failure):
    """The image folder disappears for some seconds."""

    name, what = "lost-data", "the folder of the images gone, and back after 1 to 3 seconds"
    goes_on, sentence = True, "for its return"

    def strike(self, training: Training, place: Place, chance: random.Random) -> None:
        images = place.data / "train"
        away = images.with_name("away")
        images.rename(away)
        time.sleep(chance.uniform(1, 3))
        away.rename(images)


class KilledLoader(Failure):
    """A data loading process is killed, as when memory runs out."""

    name, what = "killed-loader", "a process that loads images killed (SIGKILL)"
    goes_on, sentence = True, "others take its place"

    def strike(self, training: Training, place: Place, chance: random.Random) -> None:
        loaders = training.loaders(chance.randrange(place.count))
        if loaders:
            kill(chance.choice(loaders))


class KilledProcess(Failure):
    """A training process is killed, as when memory runs out."""

    name, what = "killed-process", "a process of the training killed (SIGKILL)"

    def strike(self, training: Training, place: Place, chance: random.Random) -> None:
        training.send(chance.randrange(place.count), signal.SIGKILL)


class NotANumber(Failure):
    """The images of a process are NaN in one step, and one such step ends the training."""

    name, what = "nan", "images that are no numbers in one process, `train.max_bad_steps=1`"

    def prepare(self, place: Place, chance: random.Random) -> Spoil:
        return Spoil(chance.randrange(place.count), chance.randrange(place.steps))


class SlowProcess(Failure):
    """A training process is repeatedly stopped, for 1.2 to 2.4 seconds in total."""

    name, what = "slow", "a process stopped for three quarters of the time"
    goes_on, sentence = True, "the others wait for process"

    def strike(self, training: Training, place: Place, chance: random.Random) -> None:
        rank = chance.randrange(place.count)
        for _ in range(chance.randint(4, 8)):
            training.send(rank, signal.SIGSTOP)
            time.sleep(0.3)
            training.send(rank, signal.SIGCONT)
            time.sleep(0.1)


FAILURES: dict[str, Failure] = {
    each.name: each
    for each in (
        Signal(signal.SIGTERM),
        Signal(signal.SIGUSR1),
        FullDisk(),
        FileLimit(),
        LostData(),
        KilledLoader(),
        KilledProcess(),
        NotANumber(),
        SlowProcess(),
    )
}
