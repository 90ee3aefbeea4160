"""Learning-rate multipliers, with milestones in epochs out of `train.epochs`."""

from detectron2.config import LazyCall as L

from hdetr_d2.engine.schedule import CosineDecay, StepDecay

# 12 epochs drop at 11; set milestones for longer runs: 24 epochs at 20, 36 at 30, 50 at 40.
lr_multiplier = L(StepDecay)(
    epochs="${train.epochs}", milestones=[11], factor=0.1, warmup_epochs=0.0
)
cosine_multiplier = L(CosineDecay)(epochs="${train.epochs}", final=0.0, warmup_epochs=0.0)
