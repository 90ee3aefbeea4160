"""Analysis of trained detectors beyond AP: numbers and pictures of their internals."""

from hdetr_d2.analysis.heads import Head, HeadDistances, heads_of, study_heads
from hdetr_d2.analysis.instability import Instability, instability
from hdetr_d2.analysis.look import Look, look
from hdetr_d2.analysis.overlap import Overlap, foreground_of, overlap
from hdetr_d2.analysis.pictures import draw_instability, draw_overlaps, draw_score_maps
from hdetr_d2.analysis.report import content, tables
from hdetr_d2.analysis.runs import Change, Snapshot, changes
from hdetr_d2.analysis.score_maps import score_map
from hdetr_d2.analysis.study import Study, study

__all__ = [
    "Change",
    "Head",
    "HeadDistances",
    "Instability",
    "Look",
    "Overlap",
    "Snapshot",
    "Study",
    "changes",
    "content",
    "draw_instability",
    "draw_overlaps",
    "draw_score_maps",
    "foreground_of",
    "heads_of",
    "instability",
    "look",
    "overlap",
    "score_map",
    "study",
    "study_heads",
    "tables",
]
