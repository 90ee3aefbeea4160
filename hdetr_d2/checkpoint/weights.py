"""Putting weights into a model, with every key that does not fit told by name."""

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
    """Whether `key` is one of `prefixes` or stands below one of them."""
    return any(key == prefix or key.startswith(f"{prefix}.") for prefix in prefixes)


@dataclass(frozen=True)
class Misfit:
    """The keys in which weights and model disagree; `reshaped` maps to a text with both shapes."""

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
        """The keys that are (or are not) one of `prefixes` or below one of them."""
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
    """Raises UserError, with all names, if a weight is infinite or no number."""
    bad = [
        name
        for name, value in weights.items()
        if value.is_floating_point() and not value.isfinite().all()
    ]
    if bad:
        raise UserError(f"{source} holds weights that are no finite numbers: {', '.join(bad)}")


def put_weights(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    source: str | Path,
    *,
    may_differ: Iterable[str] = (),
) -> None:
    """Load `weights` into `model`.

    Args:
        source: where they come from, for the messages.
        may_differ: prefixes of the keys that keep the model's own values where they do not fit;
            each of these is logged.

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
    """The weights that evaluation used: the moving average if there is one, else the model's; those
    of adapters are merged into what they stand beside.
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
    """Prefixes of what evaluation does without; nothing of a model that does not say."""
    return list(getattr(model, "training_only_keys", list)())


def without_training_only(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`weights` without those that `model` uses in training only."""
    prefixes = training_only(model)
    return {key: value for key, value in weights.items() if not is_below(key, prefixes)}


def put_evaluated_weights(
    model: nn.Module, checkpoint: Mapping[str, Any], source: str | Path
) -> None:
    """Load the weights that evaluation would use into `model`. What only training uses may be
    there, in the file or in the model, or not.

    Raises:
        UserError: any other key does not fit.
    """
    prefixes = training_only(model)
    own = {key: value for key, value in model.state_dict().items() if is_below(key, prefixes)}
    own |= fresh_adapters(model)
    put_weights(model, own | without_training_only(model, evaluated_weights(checkpoint)), source)
    merge_adapters(model)


def load_for_inference(model: nn.Module, path: str | Path) -> dict[str, Any]:
    """Load the weights that evaluation would use from a file.

    Returns:
        The file's metadata; empty for a bare model.

    Raises:
        UserError: the file cannot be read, or a key that evaluation needs does not fit.
    """
    checkpoint = read_checkpoint(path)
    put_evaluated_weights(model, checkpoint, path)
    return checkpoint.get("metadata", {})
