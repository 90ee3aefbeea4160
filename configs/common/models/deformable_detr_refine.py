"""Deformable-DETR with iterative box refinement: every layer has its own heads and refines the
boxes.
"""

from .deformable_detr import model

model.decoder.refine = True
model.decoder.heads.shared = False
