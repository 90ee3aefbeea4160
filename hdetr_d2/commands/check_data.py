"""Check data before training on them: a few lines for each kind of problem, then statistics.

hdetr-d2 check-data FOLDER --config-file RECIPE
hdetr-d2 check-data train.json train/ --val val.json val/ --config-file RECIPE

The exit status is 1 if there are errors (training would stop or be wrong), and 2 if the json cannot
be read at all.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from detectron2.utils.registry import locate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from hdetr_d2.data.check import check_data, tables
from hdetr_d2.data.coco_json import Problem, labels_of
from hdetr_d2.data.formats import Ways, folder_files
from hdetr_d2.data.mapper import DetrMapper, composed
from hdetr_d2.data.prepared_json import Rules, check_skipped
from hdetr_d2.data.registration import learns_masks
from hdetr_d2.engine.build import build, options_of
from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.messages import write_messages
from hdetr_d2.errors import UserError

# Number of lines printed for each kind of problem; the others are only counted.
LINES = 3


def main(arguments: list[str] | None = None) -> int:
    """Prints the report; returns the exit status."""
    options = _parse(arguments)
    try:
        cfg = load_config(options.config_file) if options.config_file else None
        given = {**_limits(options, cfg), "rules": _rules(options, cfg)}
        files, val_files = _files(options, cfg)
        train = check_data(*files, transform=_transform(cfg, "train"), **given)
        reports = [train]
        if val_files:
            transform = _transform(cfg, "test")
            reports.append(check_data(*val_files, train=train, transform=transform, **given))
        cocos = [report.coco for report in reports]
        skipped = chain(*(coco.skipped_classes for coco in cocos))
        check_skipped(given["rules"], {*skipped}, {*chain(*(labels_of(c)[0] for c in cocos))})
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    problems = chain(*(report.problems for report in reports))
    for line in _lines(problems, None if options.all else LINES):
        print(line)
    console = Console(markup=False, emoji=False)  # names are printed literally
    for table in chain(*map(tables, reports, ("Training data", "Validation data"))):
        console.print(table)
    return 1 if any(report.num_errors for report in reports) else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("data", help="a folder in any format, or a COCO json")
    parser.add_argument("images", nargs="?", help="folder of the json's images")
    parser.add_argument(
        "--val", nargs=2, metavar=("JSON", "IMAGES"), help="validation data of the same classes"
    )
    parser.add_argument(
        "--config-file",
        metavar="RECIPE",
        help="use the `data` options of a recipe, and measure its resize",
    )
    parser.add_argument(
        "--num-queries", type=int, help="queries of the model (default: the recipe's, or 300)"
    )
    parser.add_argument(
        "--top-k", type=int, help="detections kept per image (default: the recipe's, or 100)"
    )
    parser.add_argument("--masks", action="store_true", help="also report objects without a mask")
    parser.add_argument("--crowds-as-objects", action="store_true", help="as the data option")
    parser.add_argument("--sizes-from-files", action="store_true", help="as the data option")
    parser.add_argument("--channels", type=int, help="channels of every image, as data.channels")
    parser.add_argument("--skip-classes", nargs="+", metavar="NAME", help="as the data option")
    parser.add_argument(
        "--all", action="store_true", help="print every problem, not a few of each kind"
    )
    return parser.parse_args(arguments)


def _files(options: argparse.Namespace, cfg: DictConfig | None) -> tuple[list[str], list[str]]:
    """Json and image folder of the training data and, if there are any, of the validation data."""
    if options.images is not None:
        return [options.data, options.images], options.val or []
    if not os.path.isdir(options.data):
        lacks = "needs the folder of its images behind it"
        fault = lacks if os.path.exists(options.data) else "does not exist"
        raise UserError(f"{options.data} {fault}")
    if options.val:
        raise UserError(f"--val is for a json: {options.data} is a folder, and has its own splits")
    write_messages("hdetr_d2")
    found = folder_files(options.data, Ways.of(_data(options, cfg)))
    train, val = ([found[f"{s}_json"], found[f"{s}_images"]] for s in ("train", "val"))
    return train, val


def _limits(options: argparse.Namespace, cfg: DictConfig | None) -> dict[str, Any]:
    """The limits given by the options, otherwise by the recipe."""

    def number(given: int | None, key: str, default: int) -> int:
        found = None if cfg is None else OmegaConf.select(cfg, key)
        return next(n for n in (given, found, default) if isinstance(n, int))

    return {
        "num_queries": number(options.num_queries, "model.query_selection.num_queries", 300),
        "top_k": number(options.top_k, "model.postprocessing.num_select", 100),
    }


def _rules(options: argparse.Namespace, cfg: DictConfig | None) -> Rules:
    """The rules for reading the json."""
    masks = options.masks or (cfg is not None and learns_masks(cfg.dataloader))
    return Rules.of(_data(options, cfg), with_masks=masks)


def _data(options: argparse.Namespace, cfg: DictConfig | None) -> dict[str, Any]:
    """The `data` section of a config: the recipe's, with the given options."""
    data = {} if cfg is None else dict(cfg.data)
    names = ("crowds_as_objects", "sizes_from_files", "skip_classes", "channels")
    given = {name: getattr(options, name) for name in names}
    return data | {name: v for name, v in given.items() if v is not None and v is not False}


def _transform(cfg: DictConfig | None, loader: str) -> Any:
    """The transforms of the recipe's mapper; None if the mapper is not a `DetrMapper`."""
    if cfg is None:
        return None
    name = f"dataloader.{loader}.mapper"
    target = OmegaConf.select(cfg, f"{name}._target_")
    with options_of(name):
        kind = locate(target) if isinstance(target, str) else target
    if not isinstance(kind, type) or not issubclass(kind, DetrMapper):
        return None
    # Not the whole mapper: transforms that mix images may need files or the length of a training.
    tile = OmegaConf.select(cfg, f"{name}.tile")  # for training only
    return composed(build(cfg, f"{name}.augmentations") or (), tile)


def _lines(problems: Iterable[Problem], most: int | None) -> Iterator[str]:
    """Errors first, then warnings, grouped by kind; at most `most` of each kind (None: all), then a
    count of the others.
    """
    kinds: dict[tuple[bool, str], list[str]] = {}
    for problem in problems:
        kinds.setdefault((not problem.is_error, problem.kind), []).append(problem.text)
    for (is_warning, kind), texts in sorted(kinds.items(), key=lambda item: item[0][0]):
        word = "warning" if is_warning else "error"
        # A line with the count takes as much space as the single problem that it would replace.
        shown = texts if most is None or len(texts) <= most + 1 else texts[:most]
        yield from (f"{word}: {text}" for text in shown)
        if shown != texts:
            yield f"{word}: {len(texts) - len(shown)} more of the kind {kind!r} (--all lists them)"
