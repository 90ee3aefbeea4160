"""Loading processes that are killed."""

import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from hdetr_d2.data.loader import build_test_loader, build_train_loader
from hdetr_d2.data.lost_workers import lasting, leave_quietly
from hdetr_d2.errors import UserError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch looks after its processes every 5 s."""
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.1,))


class Deadly:
    """A mapper that ends its process with one of the images, so many times."""

    def __init__(self, folder: Path, image: int, times: int) -> None:
        self.lives = [folder / f"life {number}" for number in range(times)]
        self.image = image

    def __call__(self, entry: dict) -> dict:
        if entry["image_id"] == self.image:
            for life in self.lives:
                if not life.exists():
                    life.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
        return entry


@pytest.fixture
def seven() -> str:
    objects = [{"iscrowd": 0, "category_id": 0}]
    entries = [{"image_id": number, "annotations": objects} for number in range(7)]
    DatasetCatalog.register("seven", lambda: entries)
    MetadataCatalog.get("seven").set(thing_classes=["a"])
    return "seven"


class Hooked:
    """A mapper that tells who speaks for its process."""

    def __call__(self, entry: dict) -> dict:
        return {**entry, "hook": sys.excepthook.__module__}


def first_images(dataset: str, mapper: Deadly, num_workers: int) -> list[list[int]]:
    loader = build_train_loader(
        dataset=dataset, mapper=mapper, total_batch_size=2, num_workers=num_workers
    )
    return [[entry["image_id"] for entry in batch] for _, batch in zip(range(6), loader)]  # noqa: B905


def test_a_training_stream_goes_on_where_it_was(seven: str, tmp_path: Path, caplog) -> None:
    whole = first_images(seven, Deadly(tmp_path, 3, 0), 0)
    assert first_images(seven, Deadly(tmp_path, 3, 2), 2) == whole
    assert caplog.text.count("a process that loads data was ended from outside") == 2


def test_an_evaluation_has_every_image_once(seven: str, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    loader = build_test_loader(dataset=seven, mapper=Deadly(tmp_path, 5, 1), num_workers=2)
    assert [entry["image_id"] for (entry,) in loader] == list(range(7))
    assert torch.get_rng_state().equal(state)


def test_in_the_end_it_gives_up(seven: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="3 times in a row .* lower num_workers"):
        first_images(seven, Deadly(tmp_path, 3, 9), 1)


def test_the_main_thread_is_not_broken_into() -> None:
    def start(had: int) -> Iterator[int]:
        return iter(DataLoader([1, 2, 3, 4][had:], batch_size=None, num_workers=1))

    before = signal.getsignal(signal.SIGCHLD)
    batches = lasting(start)
    assert int(next(batches)) == 1
    assert signal.getsignal(signal.SIGCHLD) is before
    assert [*map(int, batches)] == [2, 3, 4]


def test_other_errors_are_as_they_are() -> None:
    def start(had: int) -> Iterator[int]:
        raise RuntimeError("no such thing")

    with pytest.raises(RuntimeError, match="no such thing"):
        next(lasting(start))


@pytest.mark.parametrize("kind", [ConnectionResetError, ConnectionRefusedError, EOFError])
def test_what_a_killed_process_was_handing_over_breaks_off(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where torch reads from it before the system says that it has ended."""
    broken = [kind()]  # of this test: it keeps the loader that it went through, and its process

    def start(had: int) -> Iterator[int]:
        batches = iter(DataLoader([1, 2, 3, 4][had:], batch_size=None, num_workers=1))
        get = batches._data_queue.get

        def breaks_off(timeout: float) -> object:
            found = get(timeout=timeout)
            if had + found[0] == 2 and broken:
                raise broken.pop()
            return found

        monkeypatch.setattr(batches._data_queue, "get", breaks_off)
        return batches

    assert [*map(int, lasting(start))] == [1, 2, 3, 4]
    assert not broken
    assert not active_children()
    assert caplog.text.count("a process that loads data was ended from outside") == 1


def test_a_thread_that_pins_memory_and_is_lost_with_it() -> None:
    def start(had: int) -> Iterator[int]:
        yield from [1, 2][had:]
        if had < 2:
            raise RuntimeError("Pin memory thread exited unexpectedly")

    assert [*lasting(start)] == [1, 2]


class Unreachable:
    """A data set behind a network that is down."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        raise ConnectionResetError("the disk of the network is gone")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_connection_of_the_data_is_not_one_of_a_process(num_workers: int) -> None:
    def start(had: int) -> Iterator[int]:
        return iter(DataLoader(Unreachable(), batch_size=None, num_workers=num_workers))  # type: ignore[arg-type]

    with pytest.raises(ConnectionResetError, match="the disk of the network is gone"):
        next(lasting(start))


def test_loading_processes_leave_quietly(seven: str) -> None:
    training = build_train_loader(dataset=seven, mapper=Hooked(), total_batch_size=2, num_workers=1)
    evaluation = build_test_loader(dataset=seven, mapper=Hooked(), num_workers=1)
    for loader in (training, evaluation):
        assert next(iter(loader))[0]["hook"] == leave_quietly.__module__


def test_only_connections_that_break_off_are_kept_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[type] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, *_: told.append(kind))
    leave_quietly(0)
    for error in (ConnectionResetError(104, "reset"), EOFError(), OSError(28, "full"), KeyError()):
        sys.excepthook(type(error), error, None)
    assert told == [OSError, KeyError]
