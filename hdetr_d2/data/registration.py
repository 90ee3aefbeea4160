"""From a config's `data` section to registered data sets that have been looked at."""

import difflib
import logging
import os
import pkgutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.utils.file_io import PathManager

from hdetr_d2.data.coco_json import (
    CocoJson,
    Problem,
    category_mismatch,
    evaluation_gaps,
    find_problems,
    read_coco_json,
)
from hdetr_d2.data.loader import dataset_dicts
from hdetr_d2.data.lvis_shim import import_lvis
from hdetr_d2.data.panoptic import register_panoptic
from hdetr_d2.data.repeats import epoch_size, repeat_factors
from hdetr_d2.data.survey import pages_sentence, pixel_range, survey
from hdetr_d2.data.whole_json import whole_json
from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)

# So many images are looked for at the start; none of them there means a wrong folder.
LOOKED_FOR = 100
# Metadata: the json that a data set was registered with, where `json_file` may be a whole one.
SOURCE = "source_json"


@dataclass(frozen=True)
class DatasetInfo:
    """Class names in the order of the labels, and the training images of an epoch, left after
    filtering; None where the training data were not looked at. `most_objects`: of one of them.
    `image_counts`: in how many training images each class is. `thing_classes`: indices of those
    with countable objects; None: all are. `pixel_range`: what is white where pixels have more than
    8 bits, in all of the data; None where none have.
    """

    class_names: list[str]
    num_train_images: int | None
    most_objects: int | None = None
    image_counts: list[int] | None = None
    thing_classes: list[int] | None = None
    pixel_range: int | None = None


@dataclass(frozen=True)
class _Split:
    name: str
    class_names: list[str]
    category_ids: list[int] | None  # None: not from a COCO json
    num_images: int
    num_usable: int  # images with an object that is no crowd
    most_objects: int  # of one image, crowds left out
    image_counts: list[int]  # of every class, crowds left out
    files: list[str]  # of its images, where these are named


def register_datasets(data: Mapping, *, for_training: bool = True) -> DatasetInfo:
    """Register the training and the validation data, and make sure that training can start on them.

    Args:
        data: `train_name`, `train_json`, `train_images` (json None: the name is registered
            already), `train_panoptic`, the folder of the PNGs of a panoptic json (None
            otherwise), and the same for `val`; `keep_empty`: count images without objects too;
            `repeat_threshold`: count images as often as they come, see `repeat_factors`;
            `pixel_range`: what is white where pixels have more than 8 bits, None to look for it;
            `generate`: None, or a node whose `_target_` is called with its other keys before
            anything is read.
        for_training: else only the validation data are needed, and the others are left alone.

    Raises:
        UserError: one sentence about the first thing that is wrong.
    """
    if data.get("generate") is not None:
        _generate(data["generate"])
    val = _open_split(data, "val", for_evaluation=True)
    if val.num_images == 0:
        raise UserError(f"data set {val.name!r} has no images to evaluate on")
    if not for_training:
        white = _pixel_range(data, val)
        return DatasetInfo(val.class_names, None, thing_classes=_things(val), pixel_range=white)
    train = _open_split(data, "train", for_evaluation=False)
    _check_same_classes(train, val)
    if train.num_usable == 0:
        raise UserError(
            f"there is nothing to learn in {train.name!r}: none of its {train.num_images} images "
            "has an object that is no crowd"
        )
    count = train.num_images if data.get("keep_empty", False) else train.num_usable
    if (threshold := data.get("repeat_threshold")) is not None:
        count = _repeated(train.name, data.get("keep_empty", False), threshold)
    return DatasetInfo(
        train.class_names,
        count,
        train.most_objects,
        train.image_counts,
        _things(val),
        _pixel_range(data, train, val),
    )


def _pixel_range(data: Mapping, *splits: _Split) -> int | None:
    """One for all splits: the given one, or the largest that is found."""
    found = [survey(split.files) for split in splits]
    for split, one in zip(splits, found, strict=True):
        if one.with_pages:
            logger.warning(f"{split.name}: {pages_sentence(one.with_pages)}")
    # A config that was saved before there was this option has mappers without it.
    if data.get("pixel_range", 65535) is not None:
        return data.get("pixel_range")
    deep = dict.fromkeys(file for one in found for file in one.deep)
    return pixel_range([*deep], max(one.highest for one in found))


def _repeated(name: str, keep_empty: bool, threshold: float) -> int:
    """Images of an epoch in which rare ones come several times."""
    # Of the loader's own entries, so that both mean the same epoch.
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


def _things(split: _Split) -> list[int] | None:
    """Indices of the classes of countable objects, where some are not."""
    metadata = MetadataCatalog.get(split.name)
    if metadata.get("panoptic_json") is None:
        return None
    return sorted(metadata.thing_dataset_id_to_contiguous_id.values())


def _generate(node: Mapping) -> None:
    target = node["_target_"]
    function = pkgutil.resolve_name(target) if isinstance(target, str) else target
    function(**{key: value for key, value in node.items() if key != "_target_"})


def _open_split(data: Mapping, split: str, *, for_evaluation: bool) -> _Split:
    name, option = data[f"{split}_name"], f"data.{split}"
    json_file, images = data.get(f"{split}_json"), data.get(f"{split}_images")
    for key, value in (("name", name), ("json", json_file or ""), ("images", images or "")):
        if not isinstance(value, str):
            raise UserError(f"{option}_{key}={value} must be a text")
    if json_file is None:
        return _open_registered(name, option, for_evaluation=for_evaluation)
    if images is None:
        raise UserError(f"{option}_json is given, but {option}_images (the folder) is not")
    json_file, images = os.path.expanduser(json_file), os.path.expanduser(images)
    if (folder := data.get(f"{split}_panoptic")) is not None:
        register_panoptic(name, json_file, images, os.path.expanduser(folder))
        return _open_registered(name, option, for_evaluation=for_evaluation)
    _check_not_taken(name, json_file, images, option)
    coco = _checked_json(json_file, images, for_evaluation=for_evaluation)
    ids = sorted(category["id"] for category in coco.categories)
    labels = {category_id: label for label, category_id in enumerate(ids)}
    known = MetadataCatalog.get(name).get("thing_classes")
    if known is not None and list(known) != coco.class_names():
        raise UserError(
            f"{json_file} has other categories than the data set {name!r} that was read before; "
            f"give it another {option}_name"
        )
    if name not in DatasetCatalog.list():
        metadata = {
            "thing_classes": coco.class_names(),
            "thing_dataset_id_to_contiguous_id": labels,
            SOURCE: json_file,
        }
        path = whole_json(coco, for_evaluation=for_evaluation)
        register_coco_instances(name, metadata, path, images)
    if for_evaluation:
        _make_whole(name, coco)
    return _split_of_json(name, coco)


def evaluate_on_whole_json(name: str) -> None:
    """Let evaluation read a whole json (see `whole_json`) of the registered data set `name`, also
    where training never looked at it.
    """
    metadata = MetadataCatalog.get(name)
    if SOURCE in metadata.as_dict() or metadata.get("json_file") is None:
        return
    path = PathManager.get_local_path(os.fspath(metadata.json_file))
    _make_whole(name, read_coco_json(path, annotated=False))


def _make_whole(name: str, coco: CocoJson) -> None:
    known = MetadataCatalog.get(name).as_dict()
    is_lvis = known.get("evaluator_type") == "lvis"
    path = whole_json(coco, for_evaluation=True, is_lvis=is_lvis)
    source = known.get(SOURCE, known["json_file"])
    MetadataCatalog.remove(name)  # what is set there stays
    file = known["json_file"] if path == coco.path else path
    MetadataCatalog.get(name).set(**{**known, SOURCE: source, "json_file": file})


def _split_of_json(name: str, coco: CocoJson) -> _Split:
    ids = sorted(category["id"] for category in coco.categories)
    per_image = coco.objects_per_image()
    most, counts = max(per_image.values(), default=0), coco.images_per_class()
    root = MetadataCatalog.get(name).get("image_root") or ""
    files = [os.path.join(root, i["file_name"]) for i in coco.images if "file_name" in i]
    numbers = (len(coco.images), len(per_image), most, counts)
    return _Split(name, coco.class_names(), ids, *numbers, files)


def _json_of(name: str) -> str | None:
    """The json that a data set was registered with."""
    metadata = MetadataCatalog.get(name)
    return metadata.get(SOURCE) or metadata.get("json_file")


def _check_not_taken(name: str, json_file: str, images: str, option: str) -> None:
    if name not in DatasetCatalog.list():
        return
    metadata = MetadataCatalog.get(name)
    known = [_json_of(name), metadata.get("image_root")]
    if [os.path.abspath(path or "") for path in known] != [
        os.path.abspath(path) for path in (json_file, images)
    ]:
        raise UserError(
            f"the name {name!r} is taken by {known[0]} with {known[1]}; give {json_file} "
            f"another {option}_name"
        )


def _open_registered(name: str, option: str, *, for_evaluation: bool) -> _Split:
    if name not in DatasetCatalog.list():
        near = difflib.get_close_matches(name, DatasetCatalog.list(), n=3, cutoff=0.5)
        hint = f"; the nearest names: {', '.join(near)}" if near else ""
        raise UserError(
            f"{option}_name: unknown data set {name!r}{hint}; for a COCO json of your own give "
            f"{option}_json and {option}_images"
        )
    metadata = MetadataCatalog.get(name)
    # Detectron2's evaluator notes a json for entries of a function, too.
    json_file, images = _json_of(name), metadata.get("image_root")
    if json_file is None or images is None:
        return _split_of_dicts(name)
    is_lvis = metadata.get("evaluator_type") == "lvis"
    if is_lvis:
        import_lvis()  # Detectron2's reader of LVIS imports the package as it comes
    coco = _checked_json(json_file, images, for_evaluation=for_evaluation, is_lvis=is_lvis)
    known, names = list(metadata.get("thing_classes", [])), coco.class_names()
    # LVIS's names are synonyms, of which Detectron2 and the json may pick different ones.
    if known and (len(known) != len(names) if is_lvis else known != names):
        raise UserError(
            f"{json_file} has {len(names)} categories ({', '.join(names[:3])}, ...), "
            f"which are not the {len(known)} classes of the data set {name!r}"
        )
    if for_evaluation:
        _make_whole(name, coco)
    return _split_of_json(name, coco)


def _split_of_dicts(name: str) -> _Split:
    """A data set that is registered by a function of the user's."""
    class_names = MetadataCatalog.get(name).get("thing_classes")
    if class_names is None:
        raise UserError(f"data set {name!r} has no thing_classes in its metadata")
    dicts = DatasetCatalog.get(name)
    for entry in dicts:
        for annotation in entry.get("annotations", []):
            if not 0 <= annotation["category_id"] < len(class_names):
                raise UserError(
                    f"data set {name!r}: image {entry.get('image_id')} has the label "
                    f"{annotation['category_id']}, outside [0, {len(class_names)})"
                )
    labels = [
        [a["category_id"] for a in d.get("annotations", []) if not a.get("iscrowd", 0)]
        for d in dicts
    ]
    usable, most = sum(map(bool, labels)), max(map(len, labels), default=0)
    images = Counter(label for each in labels for label in set(each))
    counts = [images[label] for label in range(len(class_names))]
    files = [entry["file_name"] for entry in dicts if "file_name" in entry]
    return _Split(name, list(class_names), None, len(dicts), usable, most, counts, files)


def _checked_json(
    path: str, folder: str, *, for_evaluation: bool, is_lvis: bool = False
) -> CocoJson:
    """Read a json, stop at its first error, and log the rest by kind with a count."""
    coco = read_coco_json(path, annotated=not for_evaluation)
    problems = list(find_problems(coco, is_lvis=is_lvis))
    if for_evaluation:
        problems += evaluation_gaps(coco, is_lvis=is_lvis)
    errors = [problem for problem in problems if problem.is_error]
    if errors:
        more = (
            f" (and {len(errors) - 1} more; tools/check_data.py lists them)" if errors[1:] else ""
        )
        raise UserError(errors[0].text + more)
    _log_by_kind(problems)
    # LVIS's files lie in folders that its json names only by their address.
    _check_images(folder, [] if is_lvis else [image["file_name"] for image in coco.images], path)
    return coco


def _log_by_kind(problems: list[Problem]) -> None:
    kinds: dict[str, list[str]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind, []).append(problem.text)
    for kind, texts in kinds.items():
        logger.warning(f"{len(texts)} x {kind}; the first: {texts[0]}")


def _check_images(folder: str, names: list[str], path: str) -> None:
    if not os.path.isdir(folder):
        raise UserError(f"the image folder {folder} does not exist (for {path})")
    wanted = [os.path.join(folder, name) for name in names[:LOOKED_FOR]]
    if wanted and not any(os.path.exists(file) for file in wanted):
        raise UserError(f"the images of {path} are not in {folder}: {wanted[0]} does not exist")


def _check_same_classes(train: _Split, val: _Split) -> None:
    labels = ((split.class_names, split.category_ids) for split in (train, val))
    if fault := category_mismatch(*labels):
        raise UserError(f"the data sets {train.name!r} and {val.name!r} {fault}")
