"""The queries of a published Deformable-DETR: those of the main group and of the hybrid branch."""

from typing import Any

from torch import Tensor

from hdetr_d2.checkpoint.importers.arguments import Arguments
from hdetr_d2.errors import UserError

BRANCH = "num_queries_one2many"
_SLOTS = "query_selection.slots.table"
_BRANCH_SLOTS = "scheme_slots.one2many.table"


def count_queries(arguments: Arguments, name: str, rows: int | None) -> tuple[int, int]:
    """Number of queries in the main group and in the hybrid branch.

    Args:
        name: the argument for the main group.
        rows: number of learned queries, the main ones first; None if all come from proposals.

    Raises:
        UserError: the arguments do not fit the rows.
    """
    if BRANCH not in arguments:
        return arguments[name] if rows is None else arguments.told(name, rows), 0
    main = arguments[name]
    told = rows is not None and BRANCH not in arguments.stated
    branch = rows - main if told else arguments[BRANCH]
    if branch < 0 or rows not in (None, main + branch):
        raise UserError(
            f"{name}={main} and {BRANCH}={max(branch, 0)} do not fit the {rows} learned queries of "
            "the file; --arg says otherwise"
        )
    return main, branch


def query_options(arguments: Arguments, main: int, branch: int) -> dict[str, Any]:
    """Config options for these numbers of queries."""
    options: dict[str, Any] = {"model.query_selection.num_queries": main}
    if branch:
        node = {
            "_target_": "hdetr_d2.schemes.HybridBranch",
            "num_queries": branch,
            "repeats": arguments["k_one2many"],
            "weight": arguments["lambda_one2many"],
        }
        options["model.schemes"] = [node]
    return options


def split_slots(weights: dict[str, Tensor], main: int, branch: int) -> dict[str, Tensor]:
    """The weights, under this project's names, with the rows of the hybrid branch separated."""
    table = weights.get(_SLOTS)
    if table is None or not branch:
        return weights
    # Copies: otherwise a file would contain all rows for each part of them.
    parts = {_SLOTS: table[:main].clone(), _BRANCH_SLOTS: table[main:].clone()}
    return weights | parts
