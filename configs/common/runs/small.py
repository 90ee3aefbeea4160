"""A short run of a small model: all but the model and the data."""

from ..optim import optimizer
from ..schedule import cosine_multiplier as lr_multiplier
from ..train import train

optimizer.lr = 1.5e-3  # there are few steps
optimizer.params.rules = [dict(pattern=r"^backbone\.", lr_scale=0.3)]
lr_multiplier.warmup_epochs = 0.5
train.update(epochs=6, clip_grad_norm=1.0)
train.ema.update(enabled=True, decay=0.998)
