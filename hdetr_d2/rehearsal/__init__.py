"""Rehearses, in a short training, the failures of long ones."""

from hdetr_d2.rehearsal.failures import FAILURES, Failure
from hdetr_d2.rehearsal.rehearsal import Rehearsal
from hdetr_d2.rehearsal.trial import Trial

__all__ = ["FAILURES", "Failure", "Rehearsal", "Trial"]
