"""Checks of the numbers that callers of a predictor give."""

from numbers import Integral, Real

from hdetr_d2.errors import UserError


def check_score_threshold(threshold: float) -> None:
    """Checks that a score threshold lies in [0, 1].

    Raises:
        UserError: it is no number; or it does not, so that no detection or every detection would
            exceed it.
    """
    if not isinstance(threshold, Real):
        raise UserError(f"score_threshold={threshold!r} must be a number from 0 to 1")
    if not 0 <= threshold <= 1:  # also rejects NaN
        percent = f"; for {threshold:g} percent write {threshold / 100:g}" if threshold > 1 else ""
        raise UserError(f"score_threshold={threshold:g} must be from 0 to 1{percent}")


def check_batch_size(batch_size: int) -> None:
    """Checks that a number of images per forward pass is a whole one.

    Raises:
        UserError: it is not, or it is below 1.
    """
    if not isinstance(batch_size, Integral):
        raise UserError(f"batch_size={batch_size!r} must be a whole number")
    if batch_size < 1:
        raise UserError(f"batch_size={batch_size} must be at least 1")
