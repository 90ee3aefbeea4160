"""The checkpoints published by authors: URL, format, and AP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Published:
    """A checkpoint for a recipe's model, trained by others.

    url: the file. source, classes, arguments: how `engine.convert` reads it. ap: as published, on
    the data of the recipe. sha256: of the file, or a prefix of it if the authors publish no more;
    None if they publish none. size: of the file in bytes, None if not stated. recipe: the most
    similar one, if none matches. beside: names of additional files needed from the same place.
    """

    url: str
    source: str
    ap: float
    classes: str = "all"
    sha256: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    size: int | None = None
    recipe: str | None = None
    beside: Sequence[str] = ()


def _hdetr(name: str, epochs: int, ap: float) -> Published:
    """A checkpoint of H-DETR's release, by the distinguishing part of its file name."""
    release = "https://github.com/HDETR/H-Deformable-DETR/releases/download/v0.1"
    model = "deformable_detr_plus_iterative_bbox_refinement_plus_plus_two_stage"
    url = f"{release}/{name}_{model}_{epochs}eps.pth"
    # They have a logit for each of COCO's 91 category ids; our recipes have one for each class.
    return Published(url, "h-deformable-detr", ap, "coco80")


def _detr(name: str, ap: float, *, dilation: bool, panoptic: bool = False) -> Published:
    """A checkpoint of DETR's release; its file name ends with the beginning of its checksum."""
    epochs, lr_drop = (25, 15) if panoptic else (500, 400)
    return Published(
        url=f"https://dl.fbaipublicfiles.com/detr/detr-{name}.pth",
        source="detr",
        ap=ap,
        classes="coco133" if panoptic else "coco80",
        sha256=name.rpartition("-")[2],
        arguments={"dilation": dilation, "epochs": epochs, "lr_drop": lr_drop},
    )


def _co_detr(data: str, ap: float) -> Published:
    """A checkpoint of Co-DETR's release on EVA-02's ViT-L, by its data set; the other ones are in
    folders without file URLs.
    """
    folder = f"https://huggingface.co/zongzhuofan/co-detr-vit-large-{data}"
    return Published(f"{folder}/resolve/main/pytorch_model.pth", "co-detr", ap)


_PP = "dp0_mqs_lft"
_BRANCH = "hybrid_branch_lambda1_group6_t1500"
_BRANCH_900 = f"swin_large_{_BRANCH}_n900_{_PP}"

PUBLISHED: Mapping[str, Published] = {
    "deformable_detr/deformable_detr_two_stage_r50_12ep.py": _hdetr("r50", 12, 43.7),
    "deformable_detr/deformable_detr_two_stage_r50_36ep.py": _hdetr("r50", 36, 46.8),
    "deformable_detr/deformable_detr_pp_r50_12ep.py": _hdetr(f"r50_{_PP}", 12, 47.0),
    "deformable_detr/deformable_detr_pp_r50_36ep.py": _hdetr(f"r50_{_PP}", 36, 49.0),
    "deformable_detr/deformable_detr_pp_swin_tiny_12ep.py": _hdetr(f"swin_tiny_{_PP}", 12, 49.3),
    "deformable_detr/deformable_detr_pp_swin_tiny_36ep.py": _hdetr(f"swin_tiny_{_PP}", 36, 51.8),
    "deformable_detr/deformable_detr_pp_swin_large_12ep.py": _hdetr(f"swin_large_{_PP}", 12, 54.5),
    "deformable_detr/deformable_detr_pp_swin_large_36ep.py": _hdetr(
        f"drop_path0.5_swin_large_{_PP}", 36, 56.3
    ),
    "detr/detr_panoptic_r50_25ep.py": _detr(
        "r50-panoptic-00ce5173", 38.8, dilation=False, panoptic=True
    ),
    "detr/detr_panoptic_dc5_r50_25ep.py": _detr(
        "r50-dc5-panoptic-da08f1b1", 40.2, dilation=True, panoptic=True
    ),
    "detr/detr_panoptic_r101_25ep.py": _detr(
        "r101-panoptic-40021d53", 40.1, dilation=False, panoptic=True
    ),
    "detr/detr_r50_500ep.py": _detr("r50-e632da11", 42.0, dilation=False),
    "detr/detr_dc5_r50_500ep.py": _detr("r50-dc5-f0fb7ef5", 43.3, dilation=True),
    "detr/detr_r101_500ep.py": _detr("r101-2c7b67e5", 43.5, dilation=False),
    "detr/detr_dc5_r101_500ep.py": _detr("r101-dc5-a2e86def", 44.9, dilation=True),
    "hdetr/h_deformable_detr_r50_12ep.py": _hdetr(f"r50_{_BRANCH}_{_PP}", 12, 48.7),
    "hdetr/h_deformable_detr_r50_36ep.py": _hdetr(f"r50_{_BRANCH}_{_PP}", 36, 50.0),
    "hdetr/h_deformable_detr_swin_tiny_12ep.py": _hdetr(f"swin_tiny_{_BRANCH}_{_PP}", 12, 50.6),
    "hdetr/h_deformable_detr_swin_tiny_36ep.py": _hdetr(f"swin_tiny_{_BRANCH}_{_PP}", 36, 53.2),
    "hdetr/h_deformable_detr_swin_tiny_wd05_12ep.py": _hdetr(
        f"decay0.05_swin_tiny_{_BRANCH}_{_PP}", 12, 51.2
    ),
    "hdetr/h_deformable_detr_swin_tiny_wd05_36ep.py": _hdetr(
        f"decay0.05_swin_tiny_{_BRANCH}_{_PP}", 36, 53.7
    ),
    "hdetr/h_deformable_detr_swin_large_12ep.py": _hdetr(f"swin_large_{_BRANCH}_{_PP}", 12, 55.9),
    "hdetr/h_deformable_detr_swin_large_36ep.py": _hdetr(
        f"drop_path0.5_swin_large_{_BRANCH}_{_PP}", 36, 57.1
    ),
    "hdetr/h_deformable_detr_swin_large_900q_12ep.py": _hdetr(_BRANCH_900, 12, 56.1),
    "hdetr/h_deformable_detr_swin_large_900q_36ep.py": _hdetr(
        f"drop_path0.5_{_BRANCH_900}", 36, 57.4
    ),
    "hdetr/h_deformable_detr_swin_large_900q_36ep_top300.py": _hdetr(
        f"drop_path0.5_{_BRANCH_900}", 36, 57.6
    ),
    "hdetr/h_deformable_detr_swin_large_900q_wd05_36ep.py": _hdetr(
        f"decay0.05_drop_path0.5_{_BRANCH_900}", 36, 57.8
    ),
    "hdetr/h_deformable_detr_swin_large_900q_wd05_36ep_top300.py": _hdetr(
        f"decay0.05_drop_path0.5_{_BRANCH_900}", 36, 57.9
    ),
    "projects/co_detr/configs/co_dino_5scale_lsj_vit_large_lvis_16ep.py": _co_detr("lvis", 68.0),
    "projects/co_detr/configs/co_dino_5scale_vit_large_12ep.py": _co_detr("coco", 65.9),
}
"""By the name of the recipe."""
