"""Results as text and as flat numbers."""

import logging
from collections.abc import Mapping
from typing import Any

from detectron2._subset import absent

__getattr__ = absent(__name__)

logger = logging.getLogger(__name__)


def print_csv_format(results: Mapping[str, Any]) -> None:
    """Logs the main metrics of every task in a form that can be pasted into a table.

    Args:
        results: task -> {metric: score}; "AP-<class>" and the like are left out.
    """
    assert isinstance(results, Mapping), f"Results are not a dict: {results}"
    for task, scores in results.items():
        if not isinstance(scores, Mapping):
            logger.info(f"copypaste: {task}={scores}")
            continue
        main = {name: score for name, score in scores.items() if "-" not in name}
        logger.info(f"copypaste: Task: {task}")
        logger.info("copypaste: " + ",".join(main))
        logger.info("copypaste: " + ",".join(f"{score:.4f}" for score in main.values()))


def flatten_results_dict(results: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts as one: {"bbox": {"AP": 1}} -> {"bbox/AP": 1}."""
    flat: dict[str, Any] = {}
    for key, value in results.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}/{k}": v for k, v in flatten_results_dict(value).items()})
        else:
            flat[key] = value
    return flat
