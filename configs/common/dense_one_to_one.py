"""More objects per image, so that more queries have one to learn: mosaics and blends for the
training mapper, with the values of DEIM, https://arxiv.org/abs/2412.04234, and DEIMv2,
https://arxiv.org/abs/2509.20787.

dataloader.train.mapper.update(mosaic=mosaic, blends=[mix_up, copy_blend])

They act during a fraction of the training: in DEIM's 60 epochs, from 4 to 34 and, for copy-blend,
from 4 to 58. With `epochs="${train.epochs}"`, start and end are in epochs.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.data import CopyBlend, During, MixUp, Mosaic


def _during(end):
    return L(During)(
        p=0.5,
        start=4 / 60,
        end=end,
        epochs=1.0,
        max_iter="${train.max_iter}",
        total_batch_size="${dataloader.train.total_batch_size}",
    )


mosaic = L(Mosaic)(
    when=_during(34 / 60),
    side=320,
    max_size=None,
    rotation=10.0,
    translation=[0.1, 0.1],
    scale=[0.5, 1.5],
    fill=0,
    augmentations=None,
    rule="${data.resize}",
)
mix_up = L(MixUp)(when=_during(34 / 60), share=[0.45, 0.55])
copy_blend = L(CopyBlend)(
    when=_during(58 / 60), objects=3, min_area=100, margin=[0.1, 0.25], share=[0.45, 0.55]
)
