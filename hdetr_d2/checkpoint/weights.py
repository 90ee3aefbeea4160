"""Loads weights into a model, and reports every key that does not fit."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from hdetr_d2.checkpoint.files import read_checkpoint
from hdetr_d2.errors import UserError
from hdetr_d2.modeling.low_rank import fresh_adapters, merge_adapters, merged

logger = logging.getLogger(__name__)
EMA_PREFIX = "module."


def is_below(key: str, prefixes: Iterable[str]) -> bool:
    """Whether `key` equals or is nested below one of `prefixes`."""
    return any(key == prefix or key.startswith(f"{prefix}.") for prefix in prefixes)


@dataclass(frozen=True)
class Misfit:
    """The keys on which weights and model disagree; `reshaped` maps to a text with both shapes."""

    missing: list[str]
    unexpected: list[str]
    reshaped: dict[str, str]

    @classmethod
    def between(cls, weights: Mapping[str, Tensor], model: nn.Module) -> "Misfit":
        state = model.state_dict()
        shapes = {
            key: (tuple(weights[key].shape), tuple(state[key].shape))
            for key in sorted(state.keys() & weights.keys())
        }
        return cls(
            missing=sorted(state.keys() - weights.keys()),
            unexpected=sorted(weights.keys() - state.keys()),
            reshaped={
                key: f"{key}: {theirs} in the file, {ours} in the model"
                for key, (theirs, ours) in shapes.items()
                if theirs != ours
            },
        )

    def part(self, prefixes: Iterable[str], *, inside: bool) -> "Misfit":
        """The keys that are (or are not) equal to or nested below one of `prefixes`."""
        chosen = tuple(prefixes)

        def keep(key: str) -> bool:
            return is_below(key, chosen) == inside

        return Misfit(
            missing=[key for key in self.missing if keep(key)],
            unexpected=[key for key in self.unexpected if keep(key)],
            reshaped={key: text for key, text in self.reshaped.items() if keep(key)},
        )

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.reshaped)

    def __str__(self) -> str:
        kinds = {
            "missing in the file": self.missing,
            "unknown to the model": self.unexpected,
            "of another shape": list(self.reshaped.values()),
        }
        return "; ".join(
            f"{len(keys)} {kind} ({', '.join(keys)})" for kind, keys in kinds.items() if keys
        )


def require_finite(weights: Mapping[str, Tensor], source: str | Path) -> None:
    """Raises UserError, with all names, if a weight is infinite or NaN."""
    bad = [
        name
        for name, value in weights.items()
        if value.is_floating_point() and not value.isfinite().all()
    ]
    if bad:
        raise UserError(f"{source} contains weights that are not finite: {', '.join(bad)}")


def put_weights(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    source: str | Path,
    *,
    may_differ: Iterable[str] = (),
) -> None:
    """Loads `weights` into `model`.

    Args:
        source: where they come from, for messages.
        may_differ: prefixes of keys that keep the model's values if they do not fit; each is
            logged.

    Raises:
        UserError: any other key is missing, unknown or of another shape, or a weight is not finite;
            all of them are listed.
    """
    prefixes = tuple(may_differ)
    misfit = Misfit.between(weights, model)
    wrong = misfit.part(prefixes, inside=False)
    if wrong:
        raise UserError(f"the weights of {source} do not fit the model: {wrong}")
    skipped = misfit.part(prefixes, inside=True)
    if skipped:
        logger.warning("%s: what does not fit keeps its initial values: %s", source, skipped)
    require_finite(weights, source)
    fitting = {key: value for key, value in weights.items() if key not in skipped.reshaped}
    model.load_state_dict(fitting, strict=False)


def evaluated_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights used in evaluation: the moving average if there is one, otherwise the model's;
    adapters are merged into the weights they modify.
    """
    average = checkpoint.get("ema")
    if average is None:
        return merged(checkpoint["model"])
    return merged(
        {
            key.removeprefix(EMA_PREFIX): value
            for key, value in average.items()
            if key.startswith(EMA_PREFIX)
        }
    )


def training_only(model: nn.Module) -> list[str]:
    """Prefixes of what evaluation does not need; empty if the model does not tell."""
    return list(getattr(model, "training_only_keys", list)())


def without_training_only(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`weights` without those that `model` uses only in training."""
    prefixes = training_only(model)
    return {key: value for key, value in weights.items() if not is_below(key, prefixes)}


def put_evaluated_weights(
    model: nn.Module, checkpoint: Mapping[str, Any], source: str | Path
) -> None:
    """Loads the weights used in evaluation into `model`. Weights needed only in training may be
    present or missing, in the file and in the model.

    Raises:
        UserError: any other key does not fit.
    """
    prefixes = training_only(model)
    own = {key: value for key, value in model.state_dict().items() if is_below(key, prefixes)}
    own |= fresh_adapters(model)
    put_weights(model, own | without_training_only(model, evaluated_weights(checkpoint)), source)
    merge_adapters(model)


def load_for_inference(model: nn.Module, path: str | Path) -> dict[str, Any]:
    """Loads the weights used in evaluation from a file.

    Returns:
        The file's metadata; empty for bare weights.

    Raises:
        UserError: the file cannot be read, or a key that evaluation needs does not fit.
    """
    checkpoint = read_checkpoint(path)
    put_evaluated_weights(model, checkpoint, path)
    return checkpoint.get("metadata", {})
