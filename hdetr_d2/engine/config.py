"""From a config file and overrides to a config in which every number is known."""

import difflib
import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import LazyConfig
from detectron2.utils import comm
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from hdetr_d2.checkpoint import write_durably
from hdetr_d2.data import iterations_per_epoch, register_datasets
from hdetr_d2.engine.device import Precision, choose_device
from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)

NODES = ("data", "dataloader", "model", "optimizer", "lr_multiplier", "train")


def load_config(path: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The config file `path` (.py or .yaml) with `key=value` overrides in Hydra's grammar.

    An override must name an option that exists; `+key=value` adds one on purpose.

    Raises:
        UserError: no such file, a file that is no training config, or an override that is malformed or
            names an unknown option.
    """
    cfg = _load(path)
    lacking = [node for node in NODES if node not in cfg]
    if lacking:
        raise UserError(f"{path} is not a training config: it lacks {', '.join(lacking)}")
    _forget_derived(cfg)
    _check_overrides(cfg, overrides)
    try:
        return LazyConfig.apply_overrides(cfg, list(overrides))
    except (KeyError, NotImplementedError) as error:
        raise UserError(f"cannot apply the overrides: {error.args[0]}") from error


def _load(path: str) -> DictConfig:
    if not path:
        raise UserError("--config-file is missing: it names the config to train")
    if not os.path.isfile(path):
        raise UserError(f"config file {path} does not exist")
    try:
        return LazyConfig.load(path)
    except (SyntaxError, ImportError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"cannot load config file {path}: {reason}") from error


def _forget_derived(cfg: DictConfig) -> None:
    """What an earlier run derived and saved must follow the overrides of this one."""
    derived = cfg.train.get("iterations_per_epoch")
    if derived and cfg.train.max_iter == _iterations(cfg.train.epochs, derived):
        cfg.train.max_iter = None
    cfg.train.iterations_per_epoch = None


def _check_overrides(cfg: DictConfig, overrides: Sequence[str]) -> None:
    known = set(_dotted(OmegaConf.to_container(cfg, resolve=False), nodes=True))
    for text in overrides:
        try:
            override = OverridesParser.create().parse_override(text)
        except OverrideParseException as error:
            raise UserError(f"{text!r} is not an override (key=value): {str(error).splitlines()[0]}") from error
        if override.is_add() or override.is_force_add():
            continue
        key, value = override.key_or_group, override.value()
        below = _dotted(value, nodes=True) if isinstance(value, Mapping) and key in known else ()
        for name in (key, *(f"{key}.{part}" for part in below)):
            if name not in known:
                raise UserError(
                    f"unknown option {name}: did you mean {_nearest(name, known)}? "
                    f"(+{text.lstrip('+~')} adds it on purpose)"
                )


def _nearest(key: str, known: set[str]) -> str:
    """The known option most like `key`; one that ends with it before all others."""
    same_end = sorted((name for name in known if name.endswith(f".{key}")), key=len)
    return (same_end or difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.0))[0]


def _dotted(content: Any, prefix: str = "", *, nodes: bool = False) -> Iterator[str]:
    """Dotted paths of all leaves of nested dicts and lists; with `nodes` those in between as well."""
    items = content.items() if isinstance(content, Mapping) else enumerate(content)
    for key, value in items:
        path = f"{prefix}{key}"
        nested = isinstance(value, Mapping | list | tuple) and len(value) > 0
        if nodes or not nested:
            yield path
        if nested:
            yield from _dotted(value, f"{path}.", nodes=nodes)


def resolve_config(cfg: DictConfig) -> None:
    """Register the data sets, then write what follows from them; everything else interpolates from there.

    Writes `data.num_classes`, `data.class_names`, `train.iterations_per_epoch` and, unless the user has
    set it, `train.max_iter`. Every process calls this.

    Raises:
        UserError: a data set cannot be read, or options contradict each other or this machine.
    """
    check_options(cfg)
    info = first_on_each_machine(lambda: register_datasets(cfg.data))
    cfg.data.class_names = list(info.class_names)
    cfg.data.num_classes = len(info.class_names)
    batch = cfg.dataloader.train.total_batch_size
    cfg.train.iterations_per_epoch = iterations_per_epoch(info.num_train_images, batch)
    if cfg.train.max_iter is None:
        cfg.train.max_iter = _iterations(cfg.train.epochs, cfg.train.iterations_per_epoch)
    else:
        logger.info("train.max_iter=%d is set: it wins over train.epochs", cfg.train.max_iter)


def _iterations(epochs: float, each: int) -> int:
    return math.ceil(epochs * each)


def first_on_each_machine(function: Callable[[], Any]) -> Any:
    """Call `function` in every process, but in one of each machine before the others: it may write files.

    Raises:
        UserError: in all processes if one of those that go first raised it, so that nobody waits in vain.
    """
    result, complaint = None, None
    leads = comm.get_local_rank() == 0
    if leads:
        try:
            result = function()
        except UserError as error:
            complaint = str(error)
    complaints = [text for text in comm.all_gather(complaint) if text]
    if complaints:
        raise UserError(complaints[0])
    return result if leads else function()


def check_options(cfg: DictConfig) -> None:
    """Raises UserError if an option makes no sense by itself, with another one, or on this machine."""
    train = cfg.train
    device = choose_device(train.device, comm.get_local_rank())
    Precision.choose(enabled=train.amp.enabled, dtype=train.amp.dtype, device=device)
    for name in (
        "train.epochs",
        "train.accumulate",
        "train.log_period",
        "train.max_bad_steps",
        "train.checkpoint.period_epochs",
        "train.checkpoint.keep",
        "dataloader.train.total_batch_size",
    ):
        value = OmegaConf.select(cfg, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise UserError(f"{name}={value} must be a positive number")
    if train.max_iter is not None and (not isinstance(train.max_iter, int) or train.max_iter <= 0):
        raise UserError(f"train.max_iter={train.max_iter} must be a positive whole number, or null")
    if train.ema.enabled and not 0 < train.ema.decay < 1:
        raise UserError(f"train.ema.decay={train.ema.decay} must lie between 0 and 1")
    _check_batch(cfg.dataloader.train.total_batch_size, comm.get_world_size(), train.accumulate)


def _check_batch(total: int, processes: int, accumulate: int) -> None:
    if total % (processes * accumulate):
        raise UserError(
            f"dataloader.train.total_batch_size={total} cannot be divided among {processes} processes "
            f"with train.accumulate={accumulate}: it must be a multiple of {processes * accumulate}"
        )


def prepare_output(folder: str) -> None:
    """Make the output folder; raises UserError if nothing can be written there."""
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"cannot write to train.output_dir={folder}: {error.strerror}") from error


def plain_config(cfg: DictConfig) -> dict[str, Any]:
    """`cfg` as nested dicts and lists, interpolations kept, callables by their dotted names.

    Raises:
        UserError: it holds an object that is none of string, number, list, mapping and `_target_`.
    """
    return _plain(OmegaConf.to_container(cfg, resolve=False), "")


def _plain(value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item, f"{path}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}.{index}") for index, item in enumerate(value)]
    if value is None or isinstance(value, str | int | float):
        return value
    if path.endswith("_target_") and callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    raise UserError(
        f"config option {path} is a {type(value).__name__}: only strings, numbers, lists, mappings and "
        "_target_ nodes can be saved"
    )


def config_text(cfg: DictConfig) -> str:
    """`cfg` as YAML that any safe loader reads and `load_config` takes."""
    return yaml.safe_dump(plain_config(cfg), sort_keys=False, allow_unicode=True, width=100)


def save_config(cfg: DictConfig, path: str | Path) -> None:
    """Write `config_text`, whole or not at all."""
    text = config_text(cfg)
    write_durably(path, lambda file: file.write(text.encode()))
