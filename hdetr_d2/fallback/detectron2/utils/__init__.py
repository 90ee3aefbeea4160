"""Communication, events, logging and other helpers."""

from detectron2._subset import absent

__getattr__ = absent(__name__)
