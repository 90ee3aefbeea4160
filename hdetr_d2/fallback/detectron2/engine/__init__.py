from detectron2._subset import absent

from . import hooks
from .defaults import default_argument_parser
from .train_loop import HookBase, TrainerBase

__all__ = [
    "HookBase",
    "TrainerBase",
    "default_argument_parser",
    "hooks",
]
__getattr__ = absent(__name__)
