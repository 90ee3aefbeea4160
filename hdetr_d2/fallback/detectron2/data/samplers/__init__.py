from detectron2._subset import absent

from .distributed_sampler import InferenceSampler

__all__ = ["InferenceSampler"]
__getattr__ = absent(__name__)
