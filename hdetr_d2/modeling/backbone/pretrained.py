"""Initial weights of a backbone: from timm, a package, or a local file."""

import logging
import pickle
import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import huggingface_hub
import safetensors
import safetensors.torch
import timm
import torch
from torch import Tensor, nn

from hdetr_d2.errors import UserError
from hdetr_d2.modeling.backbone.offline import packaged_file

logger = logging.getLogger(__name__)

OFFLINE = "offline"
_HEAD = ("fc.", "head.", "classifier.")
_WRAPPERS = ("model", "state_dict", "model_state_dict")
_HUB_TIMEOUT = 5.0  # seconds; retries of huggingface_hub take most of a minute
_skipped: ContextVar[bool] = ContextVar("hdetr_d2_without_pretrained", default=False)


@contextmanager
def without_pretrained() -> Iterator[None]:
    """Within this context no backbone reads or downloads weights, because a complete checkpoint
    will be loaded.
    """
    token = _skipped.set(True)
    try:
        yield
    finally:
        _skipped.reset(token)


def pretrained_skipped() -> bool:
    """Whether `without_pretrained` is active."""
    return _skipped.get()


def expect_checkpoint(backbone: nn.Module) -> None:
    """Lets `backbone`, whose weights are still random, train only after all of them have been
    loaded.

    Raises (later):
        UserError: a forward pass in training mode before that.
    """
    backbone.expects_checkpoint = True  # type: ignore[assignment]
    backbone.register_load_state_dict_pre_hook(_note_weights)
    backbone.register_forward_pre_hook(_require_weights)


def _note_weights(backbone: nn.Module, state: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
    if all(f"{prefix}{name}" in state for name in backbone.state_dict()):
        backbone.expects_checkpoint = False  # type: ignore[assignment]


def _require_weights(backbone: nn.Module, images: Any) -> None:
    if backbone.training and backbone.expects_checkpoint:
        raise UserError(
            "model.backbone.pretrained=null: the weights are those of a checkpoint, and none was "
            "loaded: set train.init_checkpoint to it, or pretrained to true."
        )


def find_weights(
    pretrained: bool | str, name: str, options: Mapping[str, Any], classifier: nn.Module
) -> tuple[str, dict[str, Tensor]]:
    """Finds the weights of a backbone: where they come from, and the classifier's state dict.

    Args:
        pretrained: True for timm's weights, "offline" for those of a package, or the path of a
            file.
        name: of the timm model.
        options: additional arguments of the timm model.
        classifier: the timm model, whose weights may be on the meta device.

    Raises:
        UserError: they are not available, or do not fit the options.
    """
    if pretrained == OFFLINE:
        return packaged_file(name).name, weights_from_package(name, classifier)
    if isinstance(pretrained, str):
        return pretrained, weights_from_file(pretrained, classifier)
    return f"timm's {name}", published_weights(name, options)


def published_weights(name: str, options: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict of timm's pretrained classifier, from the cache or downloaded.

    Raises:
        UserError: it is not available, or does not fit the options.
    """
    mend = "set model.backbone.pretrained to a local file of weights or to false"
    try:
        with nullcontext() if _hub_answers() else _hub_offline():
            # With the channels it was trained on; those of the images come later.
            own = {key: value for key, value in options.items() if key != "in_chans"}
            return timm.create_model(name, pretrained=True, **own).state_dict()
    except OSError as error:
        raise UserError(f"The weights of {name} cannot be downloaded: {mend}.") from error
    except RuntimeError as error:
        reason = str(error).splitlines()[0].rstrip(".:")
        raise UserError(f"timm has no weights that fit {name} ({reason}): {mend}.") from error


def weights_from_package(name: str, reference: nn.Module) -> dict[str, Tensor]:
    """The state dict in a package's file for the timm model `name`, renamed and ordered like
    `reference`.
    """
    state = _read(packaged_file(name))
    return dict(zip(reference.state_dict(), state.values(), strict=True))


def weights_from_file(path: str | Path, reference: nn.Module) -> dict[str, Tensor]:
    """The state dict in a `.safetensors` or torch file, under timm's names of the model.

    Args:
        path: the file, with timm's names or others that timm can convert (torchvision's ResNets use
            the same names).
        reference: timm's classifier, whose weights may be on the meta device.

    Raises:
        UserError: the file does not exist, or contains no weights.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"model.backbone.pretrained: there is no file {path}.")
    state = _read(path)
    for key in _WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    values = state.values() if isinstance(state, Mapping) else [state]
    if not all(isinstance(value, Tensor) for value in values) or isinstance(state, Tensor):
        raise UserError(f"model.backbone.pretrained: {path} does not hold a state dict.")
    # timm keeps the conversion from other projects' names beside each model.
    convert = getattr(sys.modules[type(reference).__module__], "checkpoint_filter_fn", None)
    return dict(convert(dict(state), reference) if convert else state)


def load(
    net: nn.Module,
    names: Mapping[str, str],
    weights: Mapping[str, Tensor],
    known: set[str],
    source: str,
) -> None:
    """Copies a classifier's weights into `net`. All parameters of the net must be present, and no
    unknown ones.

    Args:
        net: the feature extractor.
        names: maps each key of the net to a key of the classifier.
        weights: the classifier's state dict.
        known: the keys of timm's own classifier, some of which `net` does not need.
        source: where the weights come from, for messages.

    Raises:
        UserError: keys that are missing, unknown or of another shape; all are listed.
    """
    head = sorted(key for key in weights if key.startswith(_HEAD))
    if head:
        logger.info("%s: the classifier head is left out (%s)", source, ", ".join(head))
    own = net.state_dict()
    # Files older than the counter lack it, and nothing reads it.
    missing = {
        key
        for key in names.values()
        if key not in weights and not key.endswith("num_batches_tracked")
    }
    shapes = {
        key
        for own_key, key in names.items()
        if key in weights and weights[key].shape != own[own_key].shape
    }
    problems = {
        "missing": missing,
        "unmatched": set(weights) - known - set(head),
        "of another shape": shapes,
    }
    if any(problems.values()):
        lists = "; ".join(
            f"{what}: {', '.join(sorted(keys))}" for what, keys in problems.items() if keys
        )
        raise UserError(f"{source} does not fit the backbone ({lists}).")
    net.load_state_dict({own_key: weights.get(key, own[own_key]) for own_key, key in names.items()})


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, safetensors.SafetensorError) as error:
        raise UserError(
            f"model.backbone.pretrained: {path} cannot be read as plain weights."
        ) from error


def _hub_answers() -> bool:
    """False if the hub cannot be reached; True also if that cannot be determined."""
    constants = huggingface_hub.constants
    if constants.HF_HUB_OFFLINE:
        return True
    try:
        urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=_HUB_TIMEOUT).close()
    except HTTPError:
        return True
    except URLError as error:
        # The hub's own client may accept a certificate that this one does not.
        return isinstance(error.reason, ssl.SSLError)
    except OSError:
        return False
    return True


@contextmanager
def _hub_offline() -> Iterator[None]:
    """Within this context files of the hub come from the cache, or fail immediately."""
    constants = huggingface_hub.constants
    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
