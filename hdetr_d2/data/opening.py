"""The two data sets of a config: each is read, checked, and registered with Detectron2."""

import difflib
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.utils.file_io import PathManager

from hdetr_d2.data.coco_json import (
    CocoJson,
    MissingMasks,
    find_problems,
    read_coco_json,
    with_sound_masks,
)
from hdetr_d2.data.lvis_shim import import_lvis
from hdetr_d2.data.panoptic import register_panoptic
from hdetr_d2.data.prepared_json import Rules, Use, prepared_json, stop_at_error
from hdetr_d2.data.present_files import check_files
from hdetr_d2.data.whole_json import whole_json
from hdetr_d2.errors import UserError
from hdetr_d2.utils.json_file import read_json

# Metadata key: the json that a data set was registered with; `json_file` may be a completed one.
SOURCE = "source_json"
# Metadata key: the rules by which it was read.
RULES = "read_by_rules"


@dataclass(frozen=True)
class Split:
    """A registered data set, with statistics."""

    name: str
    class_names: list[str]
    category_ids: list[int] | None  # None if it does not come from a COCO json
    num_images: int
    num_usable: int  # images with an object that is not a crowd
    most_objects: int  # in one image, without crowds
    image_counts: list[int]  # per class, without crowds
    num_crowds: int
    files: list[str]  # image files, if these are named
    source: str  # how messages refer to it
    skipped_classes: tuple[str, ...] = ()  # of the json


def open_split(data: Mapping, use: Use) -> Split:
    """Reads and registers the training or validation data of a config's `data` section.

    Raises:
        UserError: they cannot be used.
    """
    name = data[f"{use.split}_name"]
    json_file, images = data.get(f"{use.split}_json"), data.get(f"{use.split}_images")
    for key, value in (("name", name), ("json", json_file or ""), ("images", images or "")):
        if not isinstance(value, str):
            raise UserError(f"{use.option}_{key}={value} must be a string")
    if json_file is None:
        return _open_registered(name, use)
    if images is None:
        raise UserError(f"{use.option}_json is given, but {use.option}_images (the folder) is not")
    json_file, images = os.path.expanduser(json_file), os.path.expanduser(images)
    if (folder := data.get(f"{use.split}_panoptic")) is not None:
        register_panoptic(name, json_file, images, os.path.expanduser(folder))
        return _open_registered(name, use)
    _check_not_taken(name, json_file, images, use)
    return _register(name, prepared_json(json_file, images, use), images, use)


def evaluate_on_whole_json(name: str) -> None:
    """Makes evaluation of the registered data set `name` use a completed json (see `whole_json`),
    even if training never read it.
    """
    metadata = MetadataCatalog.get(name)
    if SOURCE in metadata.as_dict() or metadata.get("json_file") is None:
        return
    path = PathManager.get_local_path(os.fspath(metadata.json_file))
    _make_whole(name, read_coco_json(path, annotated=False))


def whole_truth(path: str | os.PathLike, *, with_masks: bool = False) -> dict[str, Any]:
    """The content of a COCO json as evaluation uses it, see `whole_json`.

    Args:
        with_masks: whether masks are compared.

    Raises:
        UserError: it cannot be read, or there is nothing to compare with.
    """
    coco = read_coco_json(path)
    missing_masks: MissingMasks = "stop" if with_masks else "unneeded"
    stop_at_error(find_problems(coco, missing_masks=missing_masks))
    return read_json(whole_json(coco, for_evaluation=True))


def _register(name: str, coco: CocoJson, images: str, use: Use) -> Split:
    """Makes Detectron2 read the json by these rules, replacing an earlier registration."""
    coco = with_sound_masks(coco, required=use.rules.with_masks)
    before = MetadataCatalog.get(name).get(RULES)
    if name in DatasetCatalog.list() and before != use.rules and (before or coco.is_changed):
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
    known = MetadataCatalog.get(name).get("thing_classes")
    if known is not None and list(known) != coco.class_names():
        raise UserError(
            f"{coco.name} has other categories than the data set {name!r} that was read before; "
            f"give it another {use.option}_name"
        )
    if name not in DatasetCatalog.list():
        ids = sorted(category["id"] for category in coco.categories)
        metadata = {
            "thing_classes": coco.class_names(),
            "thing_dataset_id_to_contiguous_id": {i: label for label, i in enumerate(ids)},
            SOURCE: coco.path,
            RULES: use.rules,
        }
        path = whole_json(coco, for_evaluation=use.for_evaluation)
        register_coco_instances(name, metadata, path, images)
    if use.for_evaluation:
        _make_whole(name, coco)
    return _split_of_json(name, coco)


def _make_whole(name: str, coco: CocoJson) -> None:
    known = MetadataCatalog.get(name).as_dict()
    is_lvis = known.get("evaluator_type") == "lvis"
    path = whole_json(coco, for_evaluation=True, is_lvis=is_lvis)
    source = known.get(SOURCE, known["json_file"])
    MetadataCatalog.remove(name)  # existing values would be kept
    file = known["json_file"] if path == coco.path else path
    MetadataCatalog.get(name).set(**{**known, SOURCE: source, "json_file": file})


def _split_of_json(name: str, coco: CocoJson) -> Split:
    per_image = coco.objects_per_image()
    root = MetadataCatalog.get(name).get("image_root") or ""
    return Split(
        name=name,
        class_names=coco.class_names(),
        category_ids=sorted(category["id"] for category in coco.categories),
        num_images=len(coco.images),
        num_usable=len(per_image),
        most_objects=max(per_image.values(), default=0),
        image_counts=coco.images_per_class(),
        num_crowds=len(coco.crowds()),
        files=[os.path.join(root, i["file_name"]) for i in coco.images if "file_name" in i],
        source=coco.name,
        skipped_classes=coco.skipped_classes,
    )


def _json_of(name: str) -> str | None:
    """The json that a data set was registered with."""
    metadata = MetadataCatalog.get(name)
    return metadata.get(SOURCE) or metadata.get("json_file")


def _check_not_taken(name: str, json_file: str, images: str, use: Use) -> None:
    if name not in DatasetCatalog.list():
        return
    metadata = MetadataCatalog.get(name)
    known = [_json_of(name), metadata.get("image_root")]
    if [os.path.abspath(path or "") for path in known] != [
        os.path.abspath(path) for path in (json_file, images)
    ]:
        raise UserError(
            f"the name {name!r} is taken by {known[0]} with {known[1]}; give {json_file} "
            f"another {use.option}_name"
        )


def _open_registered(name: str, use: Use) -> Split:
    if name not in DatasetCatalog.list():
        near = difflib.get_close_matches(name, DatasetCatalog.list(), n=3, cutoff=0.5)
        hint = f"; the nearest names: {', '.join(near)}" if near else ""
        raise UserError(
            f"{use.option}_name: unknown data set {name!r}{hint}; for a COCO json of your own give "
            f"{use.option}_json and {use.option}_images, for a folder data.folder (--data)"
        )
    metadata = MetadataCatalog.get(name)
    # Detectron2's evaluator also sets a json for data sets registered by a function.
    json_file, images = _json_of(name), metadata.get("image_root")
    is_lvis = metadata.get("evaluator_type") == "lvis"
    is_coco = json_file is not None and images is not None and not is_lvis
    if not is_coco and (options := use.rules.changed_options()):
        raise UserError(f"{options[0]} is for COCO's instances only, which {name!r} is not")
    if json_file is None or images is None:
        return _split_of_dicts(name, use)
    if is_lvis:
        import_lvis()  # Detectron2's reader of LVIS imports the package unpatched
    coco = prepared_json(json_file, images, use, is_lvis=is_lvis)
    _check_known_classes(name, coco, use.rules, is_lvis)
    if is_coco:
        return _register(name, coco, images, use)
    if use.for_evaluation:
        _make_whole(name, coco)
    return _split_of_json(name, coco)


def _check_known_classes(name: str, coco: CocoJson, rules: Rules, is_lvis: bool) -> None:
    known, names = list(MetadataCatalog.get(name).get("thing_classes", [])), coco.class_names()
    known = [each for each in known if each not in rules.skip_classes]
    # LVIS's names are synonyms, of which Detectron2 and the json may choose different ones.
    if known and (len(known) != len(names) if is_lvis else known != names):
        raise UserError(
            f"{coco.name} has {len(names)} categories ({', '.join(names[:3])}, ...), "
            f"which are not the {len(known)} classes of the data set {name!r}"
        )


def _split_of_dicts(name: str, use: Use) -> Split:
    """A data set registered by a user's function."""
    class_names = MetadataCatalog.get(name).get("thing_classes")
    if class_names is None:
        raise UserError(f"data set {name!r} has no thing_classes in its metadata")
    dicts = DatasetCatalog.get(name)
    annotations = [(entry, a) for entry in dicts for a in entry.get("annotations", [])]
    for entry, annotation in annotations:
        if not 0 <= annotation["category_id"] < len(class_names):
            raise UserError(
                f"data set {name!r}: image {entry.get('image_id')} has the label "
                f"{annotation['category_id']}, outside [0, {len(class_names)})"
            )
    files = [entry["file_name"] for entry in dicts if "file_name" in entry and "image" not in entry]
    check_files(files, f"the data set {name!r}", use.bad_image_option, use.on_bad_image)
    labels = [
        [a["category_id"] for a in d.get("annotations", []) if not a.get("iscrowd", 0)]
        for d in dicts
    ]
    images = Counter(label for each in labels for label in set(each))
    return Split(
        name=name,
        class_names=list(class_names),
        category_ids=None,
        num_images=len(dicts),
        num_usable=sum(map(bool, labels)),
        most_objects=max(map(len, labels), default=0),
        image_counts=[images[label] for label in range(len(class_names))],
        num_crowds=len(annotations) - sum(map(len, labels)),
        files=files,
        source=f"the data set {name!r}",
    )
