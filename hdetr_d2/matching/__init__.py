"""Which query learns which target."""

from hdetr_d2.matching.matcher import HungarianMatcher

__all__ = ["HungarianMatcher"]
