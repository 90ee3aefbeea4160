"""Which query learns which target."""

from .matcher import HungarianMatcher

__all__ = ["HungarianMatcher"]
