"""Deformable-DETR with iterative box refinement: every layer has heads of its own and moves the
boxes on.
"""

from .deformable_detr import model

model.decoder.refine = True
model.decoder.heads.shared = False
