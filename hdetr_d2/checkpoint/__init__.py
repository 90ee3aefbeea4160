"""Saving and loading, robust against kills and unsuitable files."""

from hdetr_d2.checkpoint.checkpointer import Checkpointer
from hdetr_d2.checkpoint.files import read_checkpoint, write_durably
from hdetr_d2.checkpoint.rows import put_classes_in_order
from hdetr_d2.checkpoint.weights import evaluated_weights, load_for_inference

__all__ = [
    "Checkpointer",
    "evaluated_weights",
    "load_for_inference",
    "put_classes_in_order",
    "read_checkpoint",
    "write_durably",
]
