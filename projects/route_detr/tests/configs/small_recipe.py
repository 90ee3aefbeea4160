"""The small recipe of the core's tests with the routed branch, whose schedules end soon."""

from .....tests.engine.small_recipe import (
    data,
    dataloader,
    lr_multiplier,
    model,
    optimizer,
    train,
)
from ...configs.common.routing import released_code

for schedule in (released_code.strength, released_code.weight):
    schedule.update(after=0.5, over=1, once_an_epoch=False)
model.schemes = [released_code]
