"""What a model with another backbone than ResNet-50 states: `model.merge_with(swin_tiny)`.

As in H-DETR (https://arxiv.org/abs/2207.13080) nothing of a Swin is frozen.
"""

_swin = dict(frozen=0, norm=None, drop_path_rate=0.2)

swin_tiny = dict(
    backbone=dict(name="swin_tiny_patch4_window7_224.ms_in1k", **_swin),
    neck=dict(in_shapes=[192, 384, 768]),
)
swin_small = dict(
    backbone=dict(name="swin_small_patch4_window7_224.ms_in1k", **_swin),
    neck=dict(in_shapes=[192, 384, 768]),
)
swin_base_384 = dict(
    backbone=dict(name="swin_base_patch4_window12_384.ms_in22k", **_swin),
    neck=dict(in_shapes=[256, 512, 1024]),
)
swin_large = dict(
    backbone=dict(name="swin_large_patch4_window7_224.ms_in22k", **_swin),
    neck=dict(in_shapes=[384, 768, 1536]),
)
swin_large_384 = dict(
    backbone=dict(name="swin_large_patch4_window12_384.ms_in22k", **_swin),
    neck=dict(in_shapes=[384, 768, 1536]),
)
