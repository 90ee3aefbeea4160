"""Quality of a detector, computed from detections and ground truth with only numpy and COCO's
matching.
"""

from hdetr_d2.judging.average_precision import COLUMNS, average_precision
from hdetr_d2.judging.calibration import Calibration
from hdetr_d2.judging.confusion import confusion_matrix
from hdetr_d2.judging.curves import Curve, Point
from hdetr_d2.judging.judgement import Judgement, judge
from hdetr_d2.judging.matches import Matches
from hdetr_d2.judging.numbered import SHAPES, Numbered, Task
from hdetr_d2.judging.same_truth import truth_difference

__all__ = [
    "COLUMNS",
    "SHAPES",
    "Calibration",
    "Curve",
    "Judgement",
    "Matches",
    "Numbered",
    "Point",
    "Task",
    "average_precision",
    "confusion_matrix",
    "judge",
    "truth_difference",
]
