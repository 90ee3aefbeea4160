"""From data set names to a list of dicts, and to a loader for inference."""

import logging
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from detectron2._subset import absent
from torch.utils.data import DataLoader, Dataset, Sampler

from ._tables import many_rows
from .catalog import DatasetCatalog, MetadataCatalog
from .common import DatasetFromList, MapDataset
from .samplers import InferenceSampler

__all__ = [
    "build_detection_test_loader",
    "get_detection_dataset_dicts",
    "print_instances_class_histogram",
]
__getattr__ = absent(__name__)

logger = logging.getLogger(__name__)


def trivial_batch_collator(batch: list[Any]) -> list[Any]:
    """Returns the batch unchanged: images differ in size, so nothing is stacked."""
    return batch


def filter_images_with_only_crowd_annotations(dataset_dicts: list[dict]) -> list[dict]:
    """The images with at least one annotation that is not a crowd."""
    kept = [d for d in dataset_dicts if any(not a.get("iscrowd", 0) for a in d["annotations"])]
    logger.info(
        f"{len(kept)} of {len(dataset_dicts)} images have an object that is not a crowd; the "
        "others are left out."
    )
    return kept


def _check_metadata(key: str, dataset_names: Sequence[str]) -> None:
    """Raises ValueError if the data sets differ in the metadata `key`."""
    first, *others = dataset_names
    expected = getattr(MetadataCatalog.get(first), key)
    for name in others:
        value = getattr(MetadataCatalog.get(name), key)
        if value != expected:
            raise ValueError(
                f"'{key}' of dataset '{first}' is {expected}, but that of '{name}' is {value}."
            )


def print_instances_class_histogram(dataset_dicts: list[dict], class_names: Sequence[str]) -> None:
    """Logs the number of instances of each class; crowds are not counted.

    Raises:
        AssertionError: a category id outside [0, number of classes).
    """
    labels = [
        a["category_id"] for d in dataset_dicts for a in d["annotations"] if not a.get("iscrowd", 0)
    ]
    for label in (min(labels, default=0), max(labels, default=0)):
        assert 0 <= label < max(len(class_names), 1), (
            f"An annotation has category_id={label}, but there are {len(class_names)} classes."
        )
    counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=len(class_names))
    rows = [*zip(class_names, counts.tolist(), strict=False), ("total", len(labels))]
    table = many_rows(rows, ("category", "#instances"))
    logger.info(f"Instances of each of the {len(class_names)} classes:\n{table}")


def get_detection_dataset_dicts(
    names: str | Sequence[str], filter_empty: bool = True, *, check_consistency: bool = True
) -> list[dict]:
    """The elements of one or several data sets in one list.

    Args:
        names: registered names.
        filter_empty: leave out images without annotations, or with crowds only.
        check_consistency: data sets that are combined must have the same class names.

    Raises:
        KeyError: an unknown name.
        AssertionError: an empty data set, or nothing left after filtering.
        ValueError: the class names differ.
    """
    names = [names] if isinstance(names, str) else list(names)
    assert names, "No dataset was named."
    loaded = [DatasetCatalog.get(name) for name in names]
    for name, dicts in zip(names, loaded, strict=True):
        assert len(dicts), f"There is no image in dataset '{name}': it is empty."
    images = list(chain.from_iterable(loaded))

    annotated = "annotations" in images[0]
    if annotated and filter_empty:
        images = filter_images_with_only_crowd_annotations(images)
    assert images, f"No image is left of {', '.join(names)}."
    class_names = MetadataCatalog.get(names[0]).get("thing_classes")
    # A data set need not name its classes; then there is nothing to compare.
    if annotated and check_consistency and class_names is not None:
        _check_metadata("thing_classes", names)
        print_instances_class_histogram(images, class_names)
    return images


def build_detection_test_loader(
    dataset: list[Any] | Dataset,
    *,
    mapper: Callable[[dict], Any] | None,
    sampler: Sampler | Sequence[int] | None = None,
    batch_size: int = 1,
    num_workers: int = 0,
    collate_fn: Callable[[list[Any]], Any] | None = None,
) -> DataLoader:
    """A loader that returns every element once over all processes, in order.

    Args:
        dataset: a list of dicts, or a torch data set.
        mapper: applied to each element; None = nothing.
        sampler: `InferenceSampler` when not given.
        batch_size: images per batch of this process.
        num_workers: loading processes; 0 = load in this one.
        collate_fn: by default a batch is the list of its elements.
    """
    elements: Any = DatasetFromList(dataset, copy=False) if isinstance(dataset, list) else dataset
    if mapper is not None:
        elements = MapDataset(elements, mapper)
    return DataLoader(
        elements,
        batch_size=batch_size,
        sampler=InferenceSampler(len(elements)) if sampler is None else sampler,
        num_workers=num_workers,
        collate_fn=collate_fn or trivial_batch_collator,
    )
