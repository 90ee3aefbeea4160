"""What a model may learn from besides the ground truth: trained networks, and their results."""

from hdetr_d2.teachers.asked_detector import DecoderTeacher
from hdetr_d2.teachers.carried_boxes import CarriedBoxes
from hdetr_d2.teachers.features import BackboneTeacher, TimmTeacher
from hdetr_d2.teachers.trained_detector import DetectorTeacher

__all__ = ["BackboneTeacher", "CarriedBoxes", "DecoderTeacher", "DetectorTeacher", "TimmTeacher"]
