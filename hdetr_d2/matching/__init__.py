"""Assignment: which query learns which target."""

from hdetr_d2.matching.high_order import HighOrderMatcher
from hdetr_d2.matching.inverse import queries_of_targets
from hdetr_d2.matching.layered import EarlyLayers
from hdetr_d2.matching.matcher import COST_TERMS, NONFINITE_COSTS, HungarianMatcher
from hdetr_d2.matching.ranked import Ranked
from hdetr_d2.matching.top_k import TopKByScore

__all__ = [
    "EarlyLayers",
    "COST_TERMS",
    "NONFINITE_COSTS",
    "HighOrderMatcher",
    "HungarianMatcher",
    "Ranked",
    "TopKByScore",
    "queries_of_targets",
]
