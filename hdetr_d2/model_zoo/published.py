"""The checkpoints that authors publish: where they are, in which format, and how good."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A checkpoint of a recipe's model, trained by others.

    url: the file. source, classes: how `engine.convert` reads it. ap: as published, on COCO
    val2017. sha256: of the file; None if its authors publish none.
    """

    url: str
    source: str
    ap: float
    classes: str = "all"
    sha256: str | None = None


def _hdetr(name: str, epochs: int, ap: float) -> Published:
    """A checkpoint of H-DETR's release, by the part of its file's name that differs."""
    release = "https://github.com/HDETR/H-Deformable-DETR/releases/download/v0.1"
    model = "deformable_detr_plus_iterative_bbox_refinement_plus_plus_two_stage"
    url = f"{release}/{name}_{model}_{epochs}eps.pth"
    # They have a logit for each of COCO's 91 category ids; our recipes one for each of its classes.
    return Published(url, "h-deformable-detr", ap, "coco80")


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
}
"""By the name of the recipe."""
