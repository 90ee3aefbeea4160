"""The data types shared by all parts of the project. Shapes: L layers, B images, Q queries, G
targets, K classes, C channels.
"""

from hdetr_d2.structures.answers import Answered, Answers
from hdetr_d2.structures.assignment import (
    BACKGROUND,
    NO_LOSS,
    Assigner,
    Assignment,
    Counted,
    Given,
    Learned,
    Match,
    Pairs,
    Scores,
    by_query,
)
from hdetr_d2.structures.lesson import Asked, BoxTeacher, FeatureTeacher, Lesson, QueryTeacher
from hdetr_d2.structures.memory import ImageMaps, Memory
from hdetr_d2.structures.outline import Outline
from hdetr_d2.structures.own_parts import OWN_PARTS, KeyTokens, PartOfLayer
from hdetr_d2.structures.predictions import DecoderOutput, GroupOutput, Predictions
from hdetr_d2.structures.queries import (
    MAIN,
    PROPOSALS,
    FurtherTask,
    Group,
    Queries,
    QueryGroup,
    Start,
)
from hdetr_d2.structures.scaled_masks import ScaledMasks
from hdetr_d2.structures.step import Step
from hdetr_d2.structures.tap import Branch, Tap
from hdetr_d2.structures.targets import Targets

__all__ = [
    "Answered",
    "Answers",
    "Asked",
    "Assigner",
    "Assignment",
    "BACKGROUND",
    "Branch",
    "Counted",
    "BoxTeacher",
    "DecoderOutput",
    "FeatureTeacher",
    "FurtherTask",
    "Given",
    "Group",
    "GroupOutput",
    "ImageMaps",
    "KeyTokens",
    "Learned",
    "MAIN",
    "Lesson",
    "Match",
    "Memory",
    "NO_LOSS",
    "OWN_PARTS",
    "Outline",
    "PartOfLayer",
    "Pairs",
    "Predictions",
    "PROPOSALS",
    "Queries",
    "QueryGroup",
    "QueryTeacher",
    "ScaledMasks",
    "Scores",
    "Start",
    "Step",
    "Tap",
    "Targets",
    "by_query",
]
