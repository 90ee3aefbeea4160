"""Converts a published checkpoint to a config and weights of this project."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from hdetr_d2.checkpoint import write_durably
from hdetr_d2.checkpoint.importers import (
    Arguments,
    Imported,
    class_names,
    find_importer,
    keep_coco,
)
from hdetr_d2.checkpoint.weights import Misfit, require_finite
from hdetr_d2.engine.build import build
from hdetr_d2.engine.class_names import get_class_names, put_class_names
from hdetr_d2.engine.config import config_text, load_config, save_config
from hdetr_d2.engine.shipped import shipped_config
from hdetr_d2.errors import UserError
from hdetr_d2.modeling.backbone import without_pretrained
from hdetr_d2.utils.new_folder import new_folder, require_new


@dataclass(frozen=True)
class Converted:
    """The files written, and what the user should know about the conversion.

    config, weights: the written files. left_out: maps each name in the published file that was not
    used to the reason. assumed: arguments that neither the file nor the user specified.
    num_classes: number of classes of the class heads.
    """

    config: Path
    weights: Path
    left_out: dict[str, str]
    assumed: dict[str, Any]
    num_classes: int


def convert_checkpoint(
    path: str | Path,
    *,
    source: str,
    output: str | Path,
    arguments: Mapping[str, Any] | None = None,
    classes: str = "all",
    ignore: Sequence[str] = (),
    weights: str | None = None,
) -> Converted:
    """Writes `config.yaml` and `model.pth` for a published checkpoint.

    Args:
        path: the published file.
        source: the training script that wrote it, see `find_importer`.
        output: a folder that is empty or does not exist; it is written completely or not at all.
        arguments: arguments of that script that the file lacks or states incorrectly.
        classes: "coco80" keeps COCO's 80 classes out of 91 category ids, "coco133" the 133 classes
            of panoptic COCO out of 250; "all" keeps all.
        ignore: patterns (`*` and `?`) of names in the file that may be left out.
        weights: the key of the weights to use, if the file also contains a moving average.

    Raises:
        UserError: the file cannot be read, contradicts itself or its arguments, or its weights are
            not exactly those of the model; the message then lists every name.
    """
    folder = require_new(output, "--output")
    importer = find_importer(source)
    theirs, stored = importer.load(path, weights)
    require_finite(theirs, path)
    kept, ignored = _without(theirs, ignore)
    told = Arguments(importer.defaults, stored, arguments or {})
    imported = importer.read(told, kept)
    if classes != "all":
        imported = keep_coco(imported, classes)
    names = imported.class_names or class_names(imported.options["data.num_classes"])
    cfg = _config(imported, names, folder.resolve().name)
    _require_fit(cfg, imported.weights, str(path))
    _write(folder, cfg, imported.weights, source=source)
    return Converted(
        config=folder / "config.yaml",
        weights=folder / "model.pth",
        left_out=imported.left_out | dict.fromkeys(ignored, "ignored, as asked for"),
        assumed=told.assumed,
        num_classes=len(names),
    )


def _without(
    weights: Mapping[str, Tensor], patterns: Sequence[str]
) -> tuple[dict[str, Tensor], list[str]]:
    """The weights whose names match no pattern, and the names that do match one."""
    ignored = []
    for pattern in patterns:
        matching = [name for name in weights if fnmatchcase(name, pattern)]
        if not matching:
            raise UserError(f"--ignore {pattern}: the file has no such name")
        ignored += matching
    return {name: value for name, value in weights.items() if name not in ignored}, ignored


def _config(imported: Imported, names: Sequence[str], run: str) -> DictConfig:
    """The recipe with the options of the published model, without pretrained backbone weights: the
    file contains all weights.
    """
    cfg = load_config(shipped_config(imported.recipe))
    options = {
        **imported.options,
        "model.backbone.pretrained": None,
        "train.output_dir": f"output/{run}",
    }
    for key, value in options.items():
        OmegaConf.update(cfg, key, value, merge=False)
    put_class_names(cfg, names)
    return cfg


def _require_fit(cfg: DictConfig, weights: Mapping[str, Tensor], source: str) -> None:
    """Raises UserError unless the weights are exactly those of the model described by `cfg`."""
    with torch.device("meta"), without_pretrained():
        misfit = Misfit.between(weights, build(cfg, "model"))
    if misfit:
        raise UserError(
            f"the weights of {source} do not fit the model that they describe: {misfit}"
        )


def _write(folder: Path, cfg: DictConfig, weights: dict[str, Tensor], *, source: str) -> None:
    content = {
        "model": weights,
        "metadata": {
            "class_names": get_class_names(cfg),
            "config": config_text(cfg),
            "source": source,
        },
    }
    with new_folder(folder) as draft:
        save_config(cfg, draft / "config.yaml")
        write_durably(draft / "model.pth", lambda file: torch.save(content, file))
