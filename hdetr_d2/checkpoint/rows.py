"""Weights with a row per query or class, for models with another number of them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

logger = logging.getLogger(__name__)


def with_common_rows(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    source: str | Path,
    class_names: tuple[Sequence[str], Sequence[str]] = ((), ()),
) -> dict[str, Tensor]:
    """Adapts `weights` to the number of rows in the model: in tables that differ in nothing else,
    rows with the same meaning are copied, and the others keep the model's values. This is logged.

    - Queries: the first ones.
    - Classes: those with the same name in both, wherever they are, and "no object" after them. If
      the number of classes is the same and no name is, rows are kept as they are.
    - Proposals that are trained without classes: the row that means "object".

    Args:
        model: lists its tables in `slot_keys`, `class_head_keys` and `objectness_keys`.
        source: the file, for the messages.
        class_names: by class index, of the model and of the file; empty if unknown.
    """
    objectness = _keys(model, "objectness_keys")
    heads = [key for key in _keys(model, "class_head_keys") if key not in objectness]
    fitted = dict(weights)
    kinds: tuple[tuple[str, Sequence[str], Callable[[int, int], dict[int, int]]], ...] = (
        ("queries", _keys(model, "slot_keys"), _first),
        ("classes", heads, lambda ours, theirs: _of_one_name(*class_names, ours, theirs)),
        ("proposals", objectness, lambda ours, theirs: {0: 0}),
    )
    state = model.state_dict()
    moved = set(heads) if _stand_elsewhere(*class_names) else set()
    for kind, keys, rows_of in kinds:
        told = ""
        for key in keys:
            if key not in state or key not in weights:
                continue
            if not (key in moved or _differ_in_rows(state[key], weights[key])):
                continue
            ours, theirs = len(state[key]), len(weights[key])
            rows = rows_of(ours, theirs)
            if rows and state[key].shape[1:] == weights[key].shape[1:]:
                fitted[key] = state[key].clone()
                fitted[key][[*rows]] = weights[key][[*rows.values()]].to(fitted[key])
                told = (
                    f"{key} has {theirs} rows in the file and {ours} in the model: "
                    f"{len(rows)} are taken, {ours - len(rows)} keep their initial values"
                )
        if told:
            logger.warning("%s: other %s (%s)", source, kind, told)
    return fitted


def put_classes_in_order(
    model: nn.Module, class_names: Sequence[str], of_weights: Sequence[str]
) -> None:
    """If the weights have the same classes as `model` in another order, reorders them to that of
    `class_names`.

    Args:
        model: lists its tables as in `with_common_rows`.
        of_weights: class names of the weights, by class index.
    """
    if sorted(class_names) != sorted(of_weights) or not _stand_elsewhere(class_names, of_weights):
        return
    objectness, state = _keys(model, "objectness_keys"), model.state_dict()
    for key in _keys(model, "class_head_keys"):
        if key not in objectness:
            number = len(state[key])
            rows = _of_one_name(class_names, of_weights, number, number)
            state[key].copy_(state[key][[rows[row] for row in range(number)]])
    logger.info("The classes have another order in the weights, and are put into this one")


def _keys(model: nn.Module, name: str) -> list[str]:
    return list(getattr(model, name, list)())


def _differ_in_rows(ours: Tensor, theirs: Tensor) -> bool:
    return len(ours) != len(theirs) and ours.shape[1:] == theirs.shape[1:]


def _stand_elsewhere(our_names: Sequence[str], their_names: Sequence[str]) -> bool:
    """Whether a class of both has another index, or one of them has additional classes."""
    return list(our_names) != list(their_names) and not set(our_names).isdisjoint(their_names)


def _first(ours: int, theirs: int) -> dict[int, int]:
    """Rows of the model -> rows of the file."""
    return {row: row for row in range(min(ours, theirs))}


def _of_one_name(
    our_names: Sequence[str], their_names: Sequence[str], ours: int, theirs: int
) -> dict[int, int]:
    """Rows of the model -> rows of the file; empty if either does not know its classes."""
    if not our_names or not their_names:
        return {}
    places = {name: row for row, name in enumerate(their_names)}
    rows = {row: places[name] for row, name in enumerate(our_names) if name in places}
    if ours == len(our_names) + 1 and theirs == len(their_names) + 1:
        rows[ours - 1] = theirs - 1
    return rows
