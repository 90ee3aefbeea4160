"""The mean of several checkpoints: the last ones of a run, or several that started from the same
weights (https://arxiv.org/abs/1803.05407, https://arxiv.org/abs/2203.05482).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from hdetr_d2.checkpoint import evaluated_weights, read_checkpoint, write_durably
from hdetr_d2.checkpoint.weights import require_finite
from hdetr_d2.engine.compare import differences
from hdetr_d2.engine.earlier_names import renamed
from hdetr_d2.engine.hooks import periodic_files
from hdetr_d2.errors import UserError

LAST = "last_checkpoint"


def average_checkpoints(paths: Sequence[str | Path], output: str | Path) -> Path:
    """Writes the mean of the weights used in evaluation, i.e. the moving averages if the
    checkpoints have them. Floating-point tensors are averaged in double precision; all other
    tensors, the config and the class names are taken from the last checkpoint.

    Args:
        paths: at least two checkpoints of one model.
        output: path of a new file.

    Returns:
        `output`.

    Raises:
        UserError: a checkpoint cannot be read, or is of a different model than the last one.
    """
    target = Path(output)
    if target.exists():
        raise UserError(f"--output {output} is there already")
    if len(paths) < 2:
        raise UserError(f"a mean needs at least two checkpoints, not {len(paths)}")
    *others, last = paths
    content = read_checkpoint(last)
    weights = _weights(content, last)
    sums = {name: value.double() for name, value in weights.items() if value.is_floating_point()}
    for path in others:
        other = read_checkpoint(path)
        _require_same(other, path, content, last)
        theirs = _weights(other, path)
        sums = {name: value + theirs[name].double() for name, value in sums.items()}
    means = {name: (value / len(paths)).to(weights[name].dtype) for name, value in sums.items()}
    # The iteration and the metric describe one checkpoint, not the mean.
    told = content.get("metadata", {})
    metadata = {key: told[key] for key in ("config", "class_names") if key in told}
    metadata["averaged"] = [Path(path).name for path in paths]
    mean = {"model": {**weights, **means}, "metadata": metadata}
    write_durably(target, lambda file: torch.save(mean, file))
    return target


def last_checkpoints(folder: str | Path, count: int) -> list[Path]:
    """The last `count` checkpoints of the run in `folder`, oldest first. Checkpoints left there by
    another run are ignored.

    Raises:
        UserError: there are fewer than `count`.
    """
    folder = Path(folder)
    named = folder / LAST
    if not named.is_file():
        raise UserError(f"{folder} is not the folder of a run: it has no {LAST}")
    newest = folder / named.read_text()
    state = _metadata(newest)
    run = state.get("run")
    before = periodic_files(str(folder), state.get("iteration", 0))
    of_run = [path for path in before if path != newest and _metadata(path).get("run") == run]
    found = [*of_run, newest]
    if len(found) < count:
        raise UserError(
            f"{folder} holds {len(found)} checkpoints of its run, and not {count}: "
            "train.checkpoint.keep and period_epochs say how many are kept"
        )
    return found[-count:]


def _metadata(path: Path) -> dict[str, Any]:
    return read_checkpoint(path, only_look=True).get("metadata", {})


def _require_same(
    one: Mapping[str, Any], path: str | Path, last: Mapping[str, Any], last_path: str | Path
) -> None:
    """Raises UserError, listing all differences, unless both checkpoints are of the same model."""
    ours, theirs = (_kinds(evaluated_weights(content)) for content in (last, one))
    changes = {**dict(differences(theirs, ours)), **dict(differences(_said(one), _said(last)))}
    if changes:
        listing = "; ".join(f"{key}: {change}" for key, change in changes.items())
        raise UserError(f"{path} and {last_path} are not of the same model: {listing}")


def _weights(content: Mapping[str, Any], path: str | Path) -> dict[str, Tensor]:
    weights = evaluated_weights(content)
    require_finite(weights, path)
    return weights


def _kinds(weights: Mapping[str, Tensor]) -> dict[str, str]:
    """Maps each name to its shape and dtype."""
    return {
        name: f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
        for name, value in weights.items()
    }


def _said(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint says about its model: class names and model options, None where missing."""
    metadata = content.get("metadata", {})
    config = renamed(yaml.safe_load(metadata["config"])) if "config" in metadata else {}
    return {"class_names": metadata.get("class_names"), "model": config.get("model")}
