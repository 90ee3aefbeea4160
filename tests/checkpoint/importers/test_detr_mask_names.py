"""DETR's mask models: names and shapes of the released checkpoints with ResNet-50."""

import torch

from hdetr_d2.checkpoint.importers.detr_mask_names import rename_mask_head
from hdetr_d2.losses import MaskLoss
from hdetr_d2.modeling import MaskHead

CONVS = [(264, 264), (128, 264), (64, 128), (32, 64), (16, 32)]
ADAPTERS = [(128, 1024), (64, 512), (32, 256)]
PUBLISHED = {
    **{f"bbox_attention.{name}_linear.weight": (256, 256) for name in "qk"},
    **{f"bbox_attention.{name}_linear.bias": (256,) for name in "qk"},
    **{f"mask_head.lay{i}.weight": (*shape, 3, 3) for i, shape in enumerate(CONVS, 1)},
    **{f"mask_head.adapter{i}.weight": (*shape, 1, 1) for i, shape in enumerate(ADAPTERS, 1)},
    **{f"mask_head.lay{i}.bias": (out,) for i, (out, _) in enumerate(CONVS, 1)},
    **{
        f"mask_head.gn{i}.{x}": (out,)
        for i, (out, _) in enumerate(CONVS, 1)
        for x in ("weight", "bias")
    },
    **{f"mask_head.adapter{i}.bias": (out,) for i, (out, _) in enumerate(ADAPTERS, 1)},
    "mask_head.out_lay.weight": (1, 16, 3, 3),
    "mask_head.out_lay.bias": (1,),
}


def test_every_parameter_of_the_head_has_its_name_and_shape():
    with torch.device("meta"):
        head = MaskHead(
            dim=256,
            num_heads=8,
            in_shapes=[1024, 512, 256],
            in_features=["res4", "res3", "res2"],
            loss=MaskLoss(weights={"mask": 1.0, "dice": 1.0}),
        )
    ours = {f"mask_head.{name}": tuple(p.shape) for name, p in head.state_dict().items()}
    assert {rename_mask_head(name): shape for name, shape in PUBLISHED.items()} == ours


def test_the_detector_is_named_as_in_a_box_model():
    assert rename_mask_head("detr.class_embed.weight") == "class_embed.weight"
    name = "detr.transformer.decoder.layers.0.self_attn.in_proj_weight"
    assert rename_mask_head(name) == name.removeprefix("detr.")
