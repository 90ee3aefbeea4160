"""One stream for any number of workers and processes, and what a bad image does to it."""

import json
import logging
import pickle
import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode
from PIL import Image

from hdetr_d2.data import CopyBlend, CopyPaste, During, MixUp, Mosaic, TeacherResults
from hdetr_d2.data.loader import TrainLoader, build_test_loader, build_train_loader, dataset_dicts
from hdetr_d2.data.mapper import DetrMapper
from hdetr_d2.data.sampler import StreamSampler
from hdetr_d2.data.transforms import RandomSizeCrop
from hdetr_d2.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A registered data set "tiny" of 9 images; the last has no object."""
    entries = []
    for i in range(9):
        width, height = (24, 16) if i % 3 else (16, 24)
        pixels = np.random.default_rng(i).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        x, mode = i % 4, BoxMode.XYWH_ABS
        box = {"bbox": [x, 2, 8, 8], "bbox_mode": mode, "category_id": i % 2}
        square = {"segmentation": [[x, 2, x + 8, 2, x + 8, 10, x, 10]], "iscrowd": 0}
        objects = [{**box, **square}] if i < 8 else []
        size = {"width": width, "height": height}
        path = str(tmp_path / f"{i}.png")
        entries.append({"file_name": path, "image_id": i, **size, "annotations": objects})
    DatasetCatalog.register("tiny", lambda: entries)
    MetadataCatalog.get("tiny").set(thing_classes=["a", "b"])
    return tmp_path


def loader(**options: object) -> TrainLoader:
    mapper = DetrMapper(augmentations=[RandomSizeCrop(8, 14)], seed=3)
    settings = {"mapper": mapper, "total_batch_size": 4, "num_workers": 0, "seed": 3, **options}
    return build_train_loader(dataset="tiny", **settings)


def stream(steps: int, **options: object) -> list[list[tuple]]:
    """Everything random about the first micro-batches, in a form that compares."""
    return [
        [
            (d["image_id"], d["image"].tolist(), d["instances"].gt_boxes.tensor.tolist())
            for d in batch
        ]
        for batch in islice(loader(**options), steps)
    ]


@pytest.mark.parametrize("num_workers", [1, 3])
def test_the_stream_is_the_same_with_any_number_of_workers(num_workers: int, folder: Path) -> None:
    assert stream(5, num_workers=num_workers) == stream(5)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_stream_goes_on_from_the_middle(num_workers: int, folder: Path) -> None:
    assert stream(3, num_workers=num_workers, start_iteration=3) == stream(6)[3:]


def test_micro_batches_join_to_the_same_steps(folder: Path) -> None:
    halves = stream(6, accumulate=2)
    assert [halves[i] + halves[i + 1] for i in (0, 2, 4)] == stream(3)


class OfTheEntryAlone:
    """A mapper as Detectron2's are; what it draws is in its samples."""

    def __call__(self, dataset_dict: dict) -> dict:
        sample = DetrMapper()(dataset_dict)
        drawn = [torch.rand(()).item(), np.random.rand(), random.random()]
        return {**sample, "drawn": drawn}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_mapper_that_takes_an_entry_alone_is_as_reproducible(
    num_workers: int, folder: Path
) -> None:
    def drawn(steps: int, **options: object) -> list[list[float]]:
        batches = islice(loader(mapper=OfTheEntryAlone(), **options), steps)
        return [sample["drawn"] for batch in batches for sample in batch]

    before = random.getstate(), np.random.get_state()[2], torch.get_rng_state()
    whole = drawn(4, num_workers=num_workers)
    assert len({number for numbers in whole for number in numbers}) == 3 * 16
    assert drawn(2, start_iteration=2) == whole[8:]
    assert random.getstate() == before[0] and np.random.get_state()[2] == before[1]
    assert torch.get_rng_state().equal(before[2])


def test_a_function_may_be_the_mapper(folder: Path) -> None:
    mapper = DetrMapper()
    (batch,) = islice(loader(mapper=lambda entry: mapper(entry)), 1)
    assert len(batch) == 4


def test_processes_join_to_the_same_steps(folder: Path) -> None:
    whole = loader()
    parts = []
    for rank in range(2):
        sampler = StreamSampler(
            portrait=whole.sampler.portrait, total_batch_size=4, seed=3, rank=rank, world_size=2
        )
        parts.append(list(islice(TrainLoader(whole.dataset, sampler, 0, False), 3)))
    for step, first, second in zip(whole, *parts, strict=False):
        joined = first + second
        assert [d["image_id"] for d in joined] == [d["image_id"] for d in step]
        assert all(a["image"].equal(b["image"]) for a, b in zip(joined, step, strict=True))


def test_no_random_number_of_the_training_is_used(folder: Path) -> None:
    before = torch.get_rng_state()
    stream(2, num_workers=1)
    list(build_test_loader(dataset="tiny", mapper=DetrMapper(is_train=False), num_workers=1))
    assert torch.get_rng_state().equal(before)


def test_a_spawned_worker_gets_everything_by_pickle(folder: Path) -> None:
    dataset = loader().dataset
    twin = pickle.loads(pickle.dumps(dataset))
    assert twin[0, 5].sample["image"].equal(dataset[0, 5].sample["image"])


def test_batches_keep_one_orientation_where_they_can(folder: Path) -> None:
    batches = list(islice(loader(mapper=DetrMapper(), total_batch_size=2), 4))
    # 3 portrait and 5 landscape images: one of the four batches is mixed.
    assert sorted(len({d["image"].shape for d in batch}) for batch in batches) == [1, 1, 1, 2]


def test_images_without_objects_are_kept_by_choice(folder: Path) -> None:
    assert len(dataset_dicts("tiny", keep_empty=False)) == 8
    assert len(loader(keep_empty=True).dataset) == 9
    batches = list(islice(loader(keep_empty=True, total_batch_size=9), 1))
    assert sorted(len(d["instances"]) for d in batches[0]) in ([0] + [1] * 8, [0, 0] + [1] * 7)


def test_partners_are_part_of_the_stream(folder: Path) -> None:
    def pasted(num_workers: int) -> list[list[int]]:
        mapper = DetrMapper(with_masks=True, copy_paste=CopyPaste(p=1.0), seed=3)
        batches = islice(loader(mapper=mapper, num_workers=num_workers), 4)
        return [d["instances"].gt_classes.tolist() for batch in batches for d in batch]

    assert pasted(0) == pasted(2)
    assert {len(labels) for labels in pasted(0)} == {1, 2}


def dense(num_workers: int, start: int, steps: int, **options: object) -> list[list[tuple]]:
    """The stream with mosaics, mixup and copy-blend from its second to its fifth step of six."""
    when = During(p=0.5, start=1 / 6, end=5 / 6, max_iter=6, total_batch_size=4)
    mosaic = Mosaic(when=when, side=16, augmentations=[RandomSizeCrop(20, 24)])
    blends = [MixUp(when=when), CopyBlend(when=when, min_area=4)]
    mapper = DetrMapper(with_masks=True, mosaic=mosaic, blends=blends, seed=3)
    where = {"num_workers": num_workers, "start_iteration": start, **options}
    return stream(steps, mapper=mapper, **where)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_mosaics_and_blends_are_part_of_the_stream(num_workers: int, folder: Path) -> None:
    whole = dense(0, 0, 6)
    assert dense(num_workers, 3, 3) == whole[3:]
    halves = dense(num_workers, 0, 4, accumulate=2)
    assert halves[0] + halves[1] == whole[0] and halves[2] + halves[3] == whole[1]
    objects = [[len(boxes) for *_, boxes in step] for step in whole]
    assert objects[0] == objects[5] == [1] * 4
    assert all(sum(step) > 4 for step in objects[1:5])


def test_a_bad_image_in_a_mosaic_is_one_sentence(folder: Path) -> None:
    break_image(folder, 5)
    when = During(p=1.0, end=1.0, max_iter=9, total_batch_size=4)
    mapper = DetrMapper(mosaic=Mosaic(when=when, side=16), seed=3)
    with pytest.raises(UserError, match=r"5\.png cannot be read"):
        stream(9, mapper=mapper)
    skipping = loader(mapper=mapper, on_bad_image="skip")
    assert [len(batch) for batch in islice(skipping, 9)] == [4] * 9
    assert skipping.counts["skipped_images"] > 0


def break_image(folder: Path, number: int) -> None:
    path = folder / f"{number}.png"
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_bad_image_stops_with_one_sentence(num_workers: int, folder: Path) -> None:
    break_image(folder, 5)
    with pytest.raises(UserError, match=r"^\S+5\.png cannot be read as an image: [^\n]+$") as fault:
        stream(2, num_workers=num_workers)
    assert str(fault.value).endswith("; dataloader.train.on_bad_image=skip goes on without it")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_bad_image_is_replaced_and_counted(
    num_workers: int, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    break_image(folder, 5)
    (folder / "6.png").unlink()
    skipping = loader(on_bad_image="skip", num_workers=num_workers, total_batch_size=8)
    with caplog.at_level(logging.WARNING):
        first, second = islice(skipping, 2)
    for batch in (first, second):
        ids = sorted(d["image_id"] for d in batch)
        assert ids == [0, 1, 2, 3, 4, 7, 7, 7]
    # Image 5 is tried once an epoch, image 6 in its own place and in that of 5; each is named once.
    assert skipping.counts["skipped_images"] == 6
    assert len(caplog.records) == 2
    assert {"5.png" in record.message for record in caplog.records} == {True, False}


def test_nothing_but_bad_images_stops_even_when_skipping(folder: Path) -> None:
    for number in range(8):
        break_image(folder, number)
    with pytest.raises(UserError, match="cannot be read"):
        next(iter(loader(on_bad_image="skip")))


def test_other_mistakes_stop_even_when_skipping(folder: Path) -> None:
    for entry in DatasetCatalog.get("tiny"):
        for annotation in entry["annotations"]:
            del annotation["segmentation"]
    with pytest.raises(UserError, match="without a segmentation"):
        next(iter(loader(on_bad_image="skip", mapper=DetrMapper(with_masks=True))))


def test_dropped_boxes_are_counted_and_not_passed_on(folder: Path) -> None:
    DatasetCatalog.get("tiny")[0]["annotations"][0]["bbox"] = [3, 3, 0, 5]
    counting = loader(total_batch_size=8)
    (batch,) = islice(counting, 1)
    assert counting.counts["dropped_boxes"] == 1
    assert all("dropped_boxes" not in d for d in batch)


def test_an_unknown_policy_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match="one of stop, skip, not 'ignore'"):
        loader(on_bad_image="ignore")


def test_a_data_set_with_nothing_to_train_on_is_a_sentence() -> None:
    DatasetCatalog.register("barren", lambda: [{"file_name": "a.png", "annotations": []}])
    with pytest.raises(UserError, match="data set 'barren' cannot be used"):
        build_train_loader(dataset="barren", mapper=DetrMapper(), total_batch_size=1)


def teacher(folder: Path, image_ids: list) -> TeacherResults:
    MetadataCatalog.get("tiny").thing_dataset_id_to_contiguous_id = {1: 0}
    found = {"category_id": 1, "bbox": [2, 2, 4, 4], "score": 0.5}
    (folder / "found.json").write_text(json.dumps([{"image_id": i, **found} for i in image_ids]))
    return TeacherResults(str(folder / "found.json"), dataset="tiny")


@pytest.mark.parametrize(("image_ids", "told"), [(["0", "3"], ", but on '0'"), ([], "")])
def test_a_teacher_of_other_images_is_one_sentence(
    folder: Path, image_ids: list[str], told: str
) -> None:
    mapper = DetrMapper(teacher=teacher(folder, image_ids))
    wanted = r"^\S+found.json has no box with a score of at least 0.3 on any of the \d images of "
    wanted += rf"the data set 'tiny', as on the image_id 0{told}$"
    with pytest.raises(UserError, match=wanted):
        loader(mapper=mapper)
    with pytest.raises(UserError, match=wanted):  # of the losses on validation data
        build_test_loader(dataset="tiny", mapper=mapper, num_workers=0)
    mapper = DetrMapper(is_train=False, teacher=mapper.teacher)  # which does not ask for it
    assert len(build_test_loader(dataset="tiny", mapper=mapper, num_workers=0)) == 9


def test_how_many_images_a_teacher_knows_is_said(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        loader(mapper=DetrMapper(teacher=teacher(folder, [0, 3, 3, 4, 5, 8, 77])))
        loader(mapper=DetrMapper(teacher=teacher(folder, [0, 5, 8])))
    records = [each for each in caplog.records if each.name == "hdetr_d2.data.teacher_results"]
    assert [(record.levelname, record.getMessage()) for record in records] == [
        ("INFO", f"{folder}/found.json has boxes on 50.0% of the 8 images of the data set 'tiny'"),
        (
            "WARNING",
            f"{folder}/found.json has boxes on 25.0% of the 8 images of the data set 'tiny'",
        ),
    ]


def test_evaluation_sees_every_image_once_in_order(folder: Path) -> None:
    mapper = DetrMapper(is_train=False)
    batches = build_test_loader(dataset="tiny", mapper=mapper, num_workers=0, batch_size=4)
    assert len(batches) == 3
    assert [[d["image_id"] for d in b] for b in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]


@pytest.fixture
def evaluate(folder: Path) -> Callable[[str, int], list[list[int]]]:
    def run(policy: str, num_workers: int) -> list[list[int]]:
        mapper = DetrMapper(is_train=False)
        options = {"num_workers": num_workers, "batch_size": 1, "on_bad_image": policy}
        batches = build_test_loader(dataset="tiny", mapper=mapper, **options)
        return [[d["image_id"] for d in batch] for batch in batches]

    break_image(folder, 5)
    return run


@pytest.mark.parametrize("num_workers", [0, 2])
def test_evaluation_stops_or_leaves_a_bad_image_out(
    num_workers: int,
    evaluate: Callable[[str, int], list[list[int]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    way_out = r"; dataloader\.test\.on_bad_image=skip goes on without it$"
    with pytest.raises(UserError, match=rf"5\.png cannot be read.*{way_out}"):
        evaluate("stop", num_workers)
    assert evaluate("skip", num_workers) == [[0], [1], [2], [3], [4], [6], [7], [8]]
    assert caplog.messages[-1] == "1 images were skipped in this evaluation"
