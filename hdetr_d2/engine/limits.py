"""Checks that the limits of a model are high enough for the objects of its data."""

import logging

from omegaconf import DictConfig, OmegaConf

logger = logging.getLogger(__name__)


def warn_of_limits(cfg: DictConfig, most_objects: int | None) -> None:
    """Logs a warning for every limit that is too low for the data.

    Args:
        cfg: includes `data.num_classes`; an option that is missing or not a number sets no limit.
        most_objects: maximum number in one training image; None if the training data were not read.
    """
    queries = _number(cfg, "model.query_selection.num_queries")
    kept = _number(cfg, "model.postprocessing.num_select")
    counted = _number(cfg, "dataloader.evaluator.max_dets_per_image")
    if queries and most_objects and most_objects > queries:
        logger.warning(
            "A training image has %d objects, but model.query_selection.num_queries=%d: not all "
            "objects of such an image are learned",
            most_objects,
            queries,
        )
    if queries and kept and queries * cfg.data.num_classes < kept:
        logger.warning(
            "%d queries with %d class(es) give fewer detections than "
            "model.postprocessing.num_select=%d",
            queries,
            cfg.data.num_classes,
            kept,
        )
    if kept and counted and kept < counted:
        logger.warning(
            "model.postprocessing.num_select=%d keeps fewer detections of an image than the "
            "evaluation counts (dataloader.evaluator.max_dets_per_image=%d)",
            kept,
            counted,
        )
    if counted and counted < 10 and _is_detectron2s(cfg):
        logger.warning(
            "dataloader.evaluator.max_dets_per_image=%d: Detectron2's own evaluator lets 10 count; "
            "that of hdetr_d2.evaluation keeps to less",
            counted,
        )


def _is_detectron2s(cfg: DictConfig) -> bool:
    """Whether the evaluator is Detectron2's own for COCO metrics."""
    target = OmegaConf.select(cfg, "dataloader.evaluator._target_")
    name = target if isinstance(target, str) else f"{target.__module__}.{target.__qualname__}"
    return name.startswith("detectron2.") and name.endswith(".COCOEvaluator")


def _number(cfg: DictConfig, key: str) -> int | None:
    value = OmegaConf.select(cfg, key)
    return value if isinstance(value, int) else None
