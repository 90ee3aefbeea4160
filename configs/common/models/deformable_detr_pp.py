"""Deformable-DETR++ (H-DETR, https://arxiv.org/abs/2207.13080, section 4): two-stage with mixed
query selection, look forward twice and no dropout."""

from .deformable_detr_two_stage import model

model.query_selection.mixed_selection = True
model.decoder.look_forward_twice = True
model.encoder.sizes.update(dropout=0.0, feedforward_dim=2048)
