"""Learning-rate schedules and parameter groups."""

from detectron2._subset import absent
from detectron2.solver.build import get_default_optimizer_params
from detectron2.solver.lr_scheduler import LRMultiplier, WarmupParamScheduler

__all__ = ["LRMultiplier", "WarmupParamScheduler", "get_default_optimizer_params"]

__getattr__ = absent(__name__)
