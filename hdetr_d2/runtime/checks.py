"""Checks of the numbers that callers give."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from hdetr_d2.errors import UserError


def check_whole(**numbers: Any) -> None:
    """Checks options, passed by name.

    Raises:
        UserError: one is no whole number.
    """
    for name, number in numbers.items():
        if not isinstance(number, Integral):
            raise UserError(f"{name}={number!r} must be a whole number")


def check_real(highest: float, **numbers: Any) -> None:
    """Checks options, passed by name, whose numbers may have a fraction.

    Args:
        highest: for the message; the range itself is not checked.

    Raises:
        UserError: one is no number.
    """
    for name, number in numbers.items():
        if not isinstance(number, Real):
            raise UserError(f"{name}={number!r} must be a number from 0 to {highest:g}")


def check_pair(size: Any) -> None:
    """Checks a size of images.

    Raises:
        UserError: it is not two whole numbers.
    """
    pair = size if isinstance(size, Sequence) else ()
    if len(pair) != 2 or not all(isinstance(side, Integral) for side in pair):
        raise UserError(f"size={size!r} must be two whole numbers of pixels, (height, width)")


def check_score_threshold(threshold: float) -> None:
    """Checks that a score threshold lies in [0, 1].

    Raises:
        UserError: it is no number; or it does not, so that no detection or every detection would
            exceed it.
    """
    check_real(1, score_threshold=threshold)
    if not 0 <= threshold <= 1:  # also rejects NaN
        percent = f"; for {threshold:g} percent write {threshold / 100:g}" if threshold > 1 else ""
        raise UserError(f"score_threshold={threshold:g} must be from 0 to 1{percent}")


def check_batch_size(batch_size: int) -> None:
    """Checks that a number of images per forward pass is a whole one.

    Raises:
        UserError: it is not, or it is below 1.
    """
    check_whole(batch_size=batch_size)
    if batch_size < 1:
        raise UserError(f"batch_size={batch_size} must be at least 1")
