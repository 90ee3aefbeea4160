"""Co-DINO for images with large-scale jitter: squares whose grey counts as part of them."""

from hdetr_d2.modeling import GreySquare

from .co_dino import model

del model.preprocessing.size_divisibility
model.preprocessing.update(_target_=GreySquare, side=1024, grey=114)
