"""Published checkpoints without a matching recipe, trained by other code bases with their settings.
Their config is written by the conversion.

The figures are from detrex's project pages, and from DETR's and Deformable-DETR's repositories.
"""

from collections.abc import Mapping
from typing import Any

from hdetr_d2.model_zoo.published import Published

_DINO = "dino/dino"
_DEFORMABLE = "deformable_detr/deformable_detr"
_HYBRID = "hdetr/h_deformable_detr"


def _detrex(path: str, ap: float, recipe: str, **arguments: Any) -> Published:
    """In its storage, by release version and file name."""
    storage = "https://github.com/IDEA-Research/detrex-storage/releases/download"
    return Published(f"{storage}/{path}.pth", "detrex", ap, recipe=recipe, arguments=arguments)


def _hybrid(backbone: str, epochs: int, ap: float, recipe: str, queries: int = 300) -> Published:
    """A checkpoint that detrex has converted from H-DETR's release."""
    branch = "hybrid_branch_lambda1_group6_t1500" + ("_n900" if queries == 900 else "")
    model = "dp0_mqs_lft_deformable_detr_plus_iterative_bbox_refinement_plus_plus_two_stage"
    drop = {"drop_path_rate": 0.5} if backbone.startswith("drop_path0.5") else {}
    return _detrex(
        f"v0.2.0/{backbone}_{branch}_{model}_{epochs}eps",
        ap,
        recipe,
        num_queries_one2one=queries,
        **drop,
    )


def _hub(name: str, ap: float, recipe: str) -> Published:
    """A folder on Hugging Face's hub, by owner and name, with a model for COCO's category ids."""
    return Published(
        f"https://huggingface.co/{name}/resolve/main/model.safetensors",
        "transformers",
        ap,
        "coco80",
        recipe=recipe,
        beside=("config.json", "preprocessor_config.json"),
    )


_DINO_R50 = f"{_DINO}_r50_4scale_12ep.py"
_DINO_SWIN = f"{_DINO}_swin_large_4scale_12ep.py"
_DINO_ON_R50 = {
    "dino_r50_4scale_12ep": _detrex("v0.2.0/dino_r50_4scale_12ep_49_2AP", 49.2, _DINO_R50),
    "dino_r50_4scale_12ep_300dn": _detrex(
        "v0.2.0/dino_r50_4scale_12ep_300dn", 49.5, _DINO_R50, dn_number=300
    ),
    "dino_r50_4scale_12ep_modified_trainer": _detrex(
        "v0.4.0/dino_r50_4scale_12ep_hacked_trainer", 49.4, _DINO_R50
    ),
    "dino_r50_4scale_12ep_better_hyper": _detrex(
        "v0.4.0/dino_r50_4scale_12ep_backbone_2e-5_class_weight_2.0",
        49.8,
        _DINO_R50,
        loss_class=2.0,
        freeze_at=-1,
    ),
    "dino_r50_4scale_12ep_better_hyper_300dn": _detrex(
        "v0.4.0/dino_r50_4scale_12ep_backbone_2e-5_class_weight_2.0_300dn",
        50.0,
        _DINO_R50,
        loss_class=2.0,
        freeze_at=-1,
        dn_number=300,
    ),
    "dino_r50_5scale_12ep": _detrex(
        "v0.2.1/dino_r50_5scale_12ep", 49.6, f"{_DINO}_r50_5scale_12ep.py"
    ),
    "dino_r50_4scale_24ep": _detrex(
        "v0.1.1/dino_r50_4scale_24ep", 50.6, f"{_DINO}_r50_4scale_24ep.py"
    ),
    "dino_r101_4scale_12ep": _detrex("v0.1.1/dino_r101_4scale_12ep", 50.0, _DINO_R50),
}
_DINO_ON_SWIN = {
    "dino_swin_tiny_4scale_12ep": _detrex(
        "v0.1.1/dino_swin_tiny_224_4scale_12ep", 51.3, _DINO_SWIN
    ),
    "dino_swin_tiny_22k_4scale_12ep": _detrex(
        "v0.1.1/dino_swin_tiny_224_22kto1k_finetune_4scale_12ep", 52.5, _DINO_SWIN
    ),
    "dino_swin_small_4scale_12ep": _detrex(
        "v0.1.1/dino_swin_small_224_4scale_12ep", 53.0, _DINO_SWIN
    ),
    "dino_swin_small_22k_4scale_12ep": _detrex(
        "v0.4.0/dino_swin_small_22k_4scale_12ep", 54.5, _DINO_SWIN
    ),
    "dino_swin_base_384_4scale_12ep": _detrex(
        "v0.1.1/dino_swin_base_384_4scale_12ep", 55.8, _DINO_SWIN
    ),
    "dino_swin_large_224_4scale_12ep": _detrex(
        "v0.1.1/dino_swin_large_224_4scale_12ep", 56.9, _DINO_SWIN
    ),
    "dino_swin_large_384_4scale_12ep": _detrex(
        "v0.1.1/dino_swin_large_4scale_12ep", 56.9, _DINO_SWIN
    ),
    "dino_swin_large_384_5scale_12ep": _detrex(
        "v0.2.1/dino_swin_large_384_5scale_12ep", 57.5, f"{_DINO}_swin_large_5scale_12ep.py"
    ),
    "dino_swin_large_384_4scale_36ep": _detrex(
        "v0.2.0/dino_swin_large_384_4scale_36ep", 58.1, f"{_DINO}_swin_large_4scale_36ep.py"
    ),
    "dino_swin_large_384_5scale_36ep": _detrex(
        "v0.2.1/dino_swin_large_384_5scale_36ep", 58.5, f"{_DINO}_swin_large_5scale_36ep.py"
    ),
}
# Size of the ConvNeXt -> AP after pretraining on ImageNet-1k, and on 22k.
_CONVNEXTS = {
    "tiny": (51.4, 52.4),
    "small": (52.0, 54.2),
    "base": (52.6, 55.1),
    "large": (53.4, 55.5),
}
_DINO_ON_CONVNEXT = {
    f"dino_convnext_{size}_{data}_4scale_12ep": _detrex(
        f"v0.4.0/dino_convnext_{size}_{data}_4scale_12ep", ap, _DINO_SWIN, drop_path_rate=0.0
    )
    for size, figures in _CONVNEXTS.items()
    for data, ap in zip(("1k", "384"), figures, strict=True)
}
_DINO_ON_FOCALNET = {
    "dino_focalnet_large_fl3_4scale_12ep": _detrex(
        "v0.2.1/dino_focal_large_lrf_384_4scale_12ep", 57.5, _DINO_SWIN
    ),
    "dino_focalnet_large_fl3_4scale_36ep": _detrex(
        "v0.4.0/dino_focal_large_3level_4scale_36ep", 58.3, f"{_DINO}_swin_large_4scale_36ep.py"
    ),
    "dino_focalnet_large_fl4_4scale_12ep": _detrex(
        "v0.2.1/dino_focal_large_lrf_384_fl4_4scale_12ep", 58.0, _DINO_SWIN
    ),
    "dino_focalnet_large_fl4_5scale_12ep": _detrex(
        "v0.2.1/dino_focalnet_large_lrf_384_fl4_5scale_12ep",
        58.5,
        f"{_DINO}_swin_large_5scale_12ep.py",
    ),
}
_DINO_ON_VITDET = {
    "dino_vitdet_base_4scale_12ep": _detrex(
        "v0.2.1/dino_vitdet_4scale_12ep", 50.2, _DINO_SWIN, drop_path_rate=0.1
    ),
    "dino_vitdet_base_4scale_50ep": _detrex(
        "v0.2.1/dino_vitdet_base_4scale_50ep", 55.0, _DINO_SWIN, drop_path_rate=0.1
    ),
    "dino_vitdet_large_4scale_12ep": _detrex(
        "v0.2.1/dino_vitdet_large_4scale_12ep", 52.9, _DINO_SWIN, drop_path_rate=0.4
    ),
    "dino_vitdet_large_4scale_50ep": _detrex(
        "v0.2.1/dino_vitdet_large_4scale_50ep", 57.5, _DINO_SWIN, drop_path_rate=0.4
    ),
}
_H_DEFORMABLE_DETR = {
    "h_deformable_detr_r50_12ep_modified_trainer": _detrex(
        "v0.4.0/h_deformable_detr_r50_two_stage_12ep_modified_train_net",
        49.1,
        f"{_HYBRID}_r50_12ep.py",
    ),
    "h_deformable_detr_r50_12ep": _hybrid("r50", 12, 48.9, f"{_HYBRID}_r50_12ep.py"),
    "h_deformable_detr_r50_36ep": _hybrid("r50", 36, 50.3, f"{_HYBRID}_r50_36ep.py"),
    "h_deformable_detr_swin_tiny_12ep": _hybrid(
        "swin_tiny", 12, 50.6, f"{_HYBRID}_swin_tiny_12ep.py"
    ),
    "h_deformable_detr_swin_tiny_36ep": _hybrid(
        "swin_tiny", 36, 53.5, f"{_HYBRID}_swin_tiny_36ep.py"
    ),
    "h_deformable_detr_swin_large_12ep": _hybrid(
        "swin_large", 12, 56.2, f"{_HYBRID}_swin_large_12ep.py"
    ),
    "h_deformable_detr_swin_large_36ep": _hybrid(
        "drop_path0.5_swin_large", 36, 57.5, f"{_HYBRID}_swin_large_36ep.py"
    ),
    "h_deformable_detr_swin_large_900q_12ep": _hybrid(
        "swin_large", 12, 56.4, f"{_HYBRID}_swin_large_900q_12ep.py", queries=900
    ),
    "h_deformable_detr_swin_large_900q_36ep": _hybrid(
        "drop_path0.5_swin_large", 36, 57.7, f"{_HYBRID}_swin_large_900q_36ep.py", queries=900
    ),
}
_DEFORMABLE_DETR = {
    "deformable_detr_r50_50ep": _detrex(
        "v0.4.0/deformable_detr_r50_50ep_backbone_1e-5_class_weight_2.0",
        44.9,
        f"{_DEFORMABLE}_r50_50ep.py",
        loss_class=2.0,
    ),
    "deformable_detr_refine_r50_50ep": _detrex(
        "v0.1.1/deformable_detr_with_box_refinement_50ep_new",
        47.0,
        f"{_DEFORMABLE}_refine_r50_50ep.py",
    ),
    "deformable_detr_two_stage_r50_50ep": _detrex(
        "v0.1.1/deformable_detr_r50_two_stage_50ep_new",
        48.2,
        f"{_DEFORMABLE}_two_stage_r50_50ep.py",
    ),
}
_DETREX = {
    **_DINO_ON_R50,
    **_DINO_ON_SWIN,
    **_DINO_ON_CONVNEXT,
    **_DINO_ON_FOCALNET,
    **_DINO_ON_VITDET,
    **_H_DEFORMABLE_DETR,
    **_DEFORMABLE_DETR,
}
_HUB = {
    "detr-resnet-50": _hub("facebook/detr-resnet-50", 42.0, "detr/detr_r50_500ep.py"),
    "detr-resnet-50-dc5": _hub("facebook/detr-resnet-50-dc5", 43.3, "detr/detr_dc5_r50_500ep.py"),
    "detr-resnet-101": _hub("facebook/detr-resnet-101", 43.5, "detr/detr_r101_500ep.py"),
    "detr-resnet-101-dc5": _hub(
        "facebook/detr-resnet-101-dc5", 44.9, "detr/detr_dc5_r101_500ep.py"
    ),
    "deformable-detr": _hub("SenseTime/deformable-detr", 44.5, f"{_DEFORMABLE}_r50_50ep.py"),
    "deformable-detr-single-scale": _hub(
        "SenseTime/deformable-detr-single-scale", 39.4, f"{_DEFORMABLE}_r50_50ep.py"
    ),
    "deformable-detr-single-scale-dc5": _hub(
        "SenseTime/deformable-detr-single-scale-dc5", 41.5, f"{_DEFORMABLE}_r50_50ep.py"
    ),
    "deformable-detr-with-box-refine": _hub(
        "SenseTime/deformable-detr-with-box-refine", 46.2, f"{_DEFORMABLE}_refine_r50_50ep.py"
    ),
    "deformable-detr-with-box-refine-two-stage": _hub(
        "SenseTime/deformable-detr-with-box-refine-two-stage",
        46.9,
        f"{_DEFORMABLE}_two_stage_r50_50ep.py",
    ),
}
IMPORTED: Mapping[str, Published] = {
    **{f"detrex/{name}": published for name, published in _DETREX.items()},
    **{f"transformers/{name}": published for name, published in _HUB.items()},
}
"""By their own names: the source, and the model's name there."""
