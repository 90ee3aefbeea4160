"""Co-DINO for images with large-scale jitter: squares whose grey counts as part of them."""

from detectron2.config import LazyCall as L

from hdetr_d2.modeling import GreySquare

from .co_dino import model

model.preprocessing = L(GreySquare)(
    pixel_mean=model.preprocessing.pixel_mean,
    pixel_std=model.preprocessing.pixel_std,
    side=1024,
    grey=114,
)
