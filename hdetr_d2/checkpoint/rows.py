"""Weights with a row for each query or class, for a model that has another number of them."""

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
    """`weights` with the rows that the model has: of tables that differ in nothing else, those rows
    are taken that mean the same in both, and the others are the model's own. It is logged.

    - Queries: the first ones.
    - Classes: those that have one name in both, wherever they stand, and "no object" behind them.
      As many classes of other names are taken as they are.
    - Of the proposals of a model whose proposals learn objects of no class, that of the object.

    Args:
        model: names its tables in `slot_keys`, `class_head_keys` and `objectness_keys`.
        source: the file, for the messages.
        class_names: by class index, of the model and of the file; empty where it does not say.
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
    """Where `model` has weights of the same classes in another order, gives it that of
    `class_names`.

    Args:
        model: names its tables as `with_common_rows` wants it.
        of_weights: by class index.
    """
    if sorted(class_names) != sorted(of_weights) or not _stand_elsewhere(class_names, of_weights):
        return
    objectness, state = _keys(model, "objectness_keys"), model.state_dict()
    for key in _keys(model, "class_head_keys"):
        if key not in objectness:
            number = len(state[key])
            rows = _of_one_name(class_names, of_weights, number, number)
            state[key].copy_(state[key][[rows[row] for row in range(number)]])
    logger.info("The classes stand in another order in the weights, and are put into this one")


def _keys(model: nn.Module, name: str) -> list[str]:
    return list(getattr(model, name, list)())


def _differ_in_rows(ours: Tensor, theirs: Tensor) -> bool:
    return len(ours) != len(theirs) and ours.shape[1:] == theirs.shape[1:]


def _stand_elsewhere(our_names: Sequence[str], their_names: Sequence[str]) -> bool:
    """Whether a class of both has another place, or one of them has others beside it."""
    return list(our_names) != list(their_names) and not set(our_names).isdisjoint(their_names)


def _first(ours: int, theirs: int) -> dict[int, int]:
    """Rows of the model -> rows of the file."""
    return {row: row for row in range(min(ours, theirs))}


def _of_one_name(
    our_names: Sequence[str], their_names: Sequence[str], ours: int, theirs: int
) -> dict[int, int]:
    """Rows of the model -> rows of the file; none where either does not say its classes."""
    if not our_names or not their_names:
        return {}
    places = {name: row for row, name in enumerate(their_names)}
    rows = {row: places[name] for row, name in enumerate(our_names) if name in places}
    if ours == len(our_names) + 1 and theirs == len(their_names) + 1:
        rows[ours - 1] = theirs - 1
    return rows
