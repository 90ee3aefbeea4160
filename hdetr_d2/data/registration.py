"""Registers and checks the data sets of a config's `data` section."""

import logging
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from detectron2.data import MetadataCatalog

from hdetr_d2.data.coco_json import category_mismatch
from hdetr_d2.data.folder import data_of_folder
from hdetr_d2.data.loader import dataset_dicts
from hdetr_d2.data.opening import Split, open_split
from hdetr_d2.data.prepared_json import Rules, Use, check_skipped
from hdetr_d2.data.repeats import epoch_size, repeat_factors
from hdetr_d2.data.survey import pages_sentence, pixel_range, survey
from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DatasetInfo:
    """Class names in label order, and the number of training images per epoch after filtering, None
    if the training data were not read. `most_objects`: in one of them. `image_counts`: the number
    of training images with each class. `thing_classes`: indices of the countable classes; None if
    all are. `pixel_range`: the white level of pixels with more than 8 bits, in all of the data;
    None if there are none. `train_files`: the training images, if they were read. `replaced`:
    options of `data` that a folder has changed.
    """

    class_names: list[str]
    num_train_images: int | None
    most_objects: int | None = None
    image_counts: list[int] | None = None
    thing_classes: list[int] | None = None
    pixel_range: int | None = None
    train_files: list[str] = field(default_factory=list, compare=False)
    replaced: dict[str, Any] = field(default_factory=dict)


def register_datasets(
    data: Mapping, loaders: Mapping | None = None, *, for_training: bool = True
) -> DatasetInfo:
    """Registers the training and validation data, and makes sure that training can start.

    Args:
        data: `train_name`, `train_json`, `train_images` (json None: the name is already
            registered), `train_panoptic`, the folder of the PNGs of a panoptic json (otherwise
            None), and the same for `val`; `keep_empty`: also count images without objects;
            `repeat_threshold`: count repeated images, see `repeat_factors`; `channels`: None for
            RGB with 8 bits; `pixel_range`: the white level of pixels with more than 8 bits, None to
            measure it; the fields of `Rules`; `folder`: data in any format that replaces all of
            these names and files, or None, with the fields of `Ways`; `generate`: None, or a node
            whose `_target_` is called with its other keys before anything is read.
        loaders: the `dataloader` section: `train.mapper` determines whether masks are learned,
            `train` and `test` the policy for bad images; None: no masks, and stop.
        for_training: otherwise only the validation data are needed, and the others are not read.

    Raises:
        UserError: one sentence about the first error.
    """
    data, replaced = data_of_folder(data, for_training=for_training)
    info = _register(data, loaders, for_training=for_training)
    return replace(info, replaced=replaced)


def _register(data: Mapping, loaders: Mapping | None, *, for_training: bool) -> DatasetInfo:
    if data.get("generate") is not None:
        _generate(data["generate"])
    rules = Rules.of(data, with_masks=learns_masks(loaders or {}))
    val = open_split(data, Use("val", rules, _bad_image_policy(loaders, "test")))
    if val.num_images == 0:
        raise UserError(f"data set {val.name!r} has no images to evaluate on")
    if not for_training:
        white = _pixel_range(data, rules, val)
        return DatasetInfo(val.class_names, None, thing_classes=_things(val), pixel_range=white)
    train = open_split(data, Use("train", rules, _bad_image_policy(loaders, "train")))
    skipped = {*train.skipped_classes, *val.skipped_classes}
    check_skipped(rules, skipped, {*train.class_names, *val.class_names})
    _check_same_classes(train, val)
    count = train.num_images if data.get("keep_empty", False) else train.num_usable
    if train.num_usable == 0:
        raise UserError(_nothing_left(train))
    if (threshold := data.get("repeat_threshold")) is not None:
        count = _repeated(train.name, data.get("keep_empty", False), threshold)
    return DatasetInfo(
        train.class_names,
        count,
        train.most_objects,
        train.image_counts,
        _things(val),
        _pixel_range(data, rules, train, val),
        train.files,
    )


def learns_masks(loaders: Mapping) -> bool:
    """Whether the training mapper reads masks; Detectron2's calls it `use_instance_mask`."""
    mapper = (loaders.get("train") or {}).get("mapper") or {}
    if not isinstance(mapper, Mapping):
        return False
    keys = ("with_masks", "copy_paste", "use_instance_mask")
    return any(mapper.get(key) not in (None, False) for key in keys)


def _bad_image_policy(loaders: Mapping | None, name: str) -> str:
    return ((loaders or {}).get(name) or {}).get("on_bad_image") or "stop"


def _nothing_left(train: Split) -> str:
    text = (
        f"there is nothing to learn in {train.name!r}: none of its {train.num_images} images has "
        "an object that is no crowd"
    )
    if not train.num_crowds:
        return text
    return f"{text}; data.crowds_as_objects=True reads its {train.num_crowds} crowds as objects"


def _pixel_range(data: Mapping, rules: Rules, *splits: Split) -> int | None:
    """One value for all splits: the given one, or the largest that is measured."""
    found = [survey(split.files, rules.image_format) for split in splits]
    for split, one in zip(splits, found, strict=True):
        if one.with_pages:
            logger.warning(f"{split.name}: {pages_sentence(one.with_pages)}")
    # A config that was saved before this option existed has mappers without it.
    if data.get("pixel_range", 65535) is not None:
        return data.get("pixel_range")
    deep = dict.fromkeys(file for one in found for file in one.deep)
    return pixel_range([*deep], max(one.highest for one in found))


def _repeated(name: str, keep_empty: bool, threshold: float) -> int:
    """Images per epoch, counting repetitions of rare ones."""
    # Of the loader's own entries, so that both agree on the epoch.
    factors = repeat_factors(dataset_dicts(name, keep_empty=keep_empty), threshold)
    logger.info(
        "data.repeat_threshold=%g: %d of the %d images of %r have a rarer class and come up to "
        "%.1f times; an epoch has %d images",
        threshold,
        (factors > 1).sum(),
        len(factors),
        name,
        factors.max(),
        epoch_size(factors),
    )
    return epoch_size(factors)


def _things(split: Split) -> list[int] | None:
    """Indices of the countable classes, if some are not."""
    metadata = MetadataCatalog.get(split.name)
    if metadata.get("panoptic_json") is None:
        return None
    return sorted(metadata.thing_dataset_id_to_contiguous_id.values())


def _generate(node: Mapping) -> None:
    target = node["_target_"]
    function = pkgutil.resolve_name(target) if isinstance(target, str) else target
    function(**{key: value for key, value in node.items() if key != "_target_"})


def _check_same_classes(train: Split, val: Split) -> None:
    first, second = ((split.class_names, split.category_ids) for split in (train, val))
    if fault := category_mismatch(first, second, (train.source, val.source)):
        raise UserError(f"the data sets {train.name!r} and {val.name!r} {fault}")
