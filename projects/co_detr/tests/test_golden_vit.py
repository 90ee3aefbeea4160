"""The plain transformer and the pyramid on it against recorded maps of the released code."""

import hdetr_d2  # noqa: F401

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from hdetr_d2.checkpoint.importers.deformable_detr_names import rename
from hdetr_d2.modeling import SimpleFeaturePyramid, WindowedViT
from hdetr_d2.projects.co_detr.importer_names import family_name
from hdetr_d2.projects.co_detr.importer_vit import POSITIONS, without_class_token

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "golden"))
import golden


@pytest.fixture(scope="module")
def case():
    return golden.load("vit_pyramid", Path(__file__).parent)


@pytest.fixture(scope="module")
def model(case):
    backbone = WindowedViT(
        name="eva02_large_patch14_448",
        window=3,
        global_every=2,
        image_size=80,
        pretrained=False,
        options=dict(embed_dim=128, depth=4, num_heads=2),
    )
    neck = SimpleFeaturePyramid(in_shapes=[128], in_features=["res4"], out_channels=16)
    theirs = case.state_dict()
    ours = {rename(family_name(name, 0), 6): value for name, value in theirs.items()}
    ours[POSITIONS] = without_class_token(ours[POSITIONS])
    model = nn.ModuleDict({"backbone": backbone, "neck": neck})
    model.load_state_dict(ours)
    return model.eval()


@pytest.mark.parametrize("index", [0, 1])  # of images whose windows are not full
def test_every_level(case, model, index: int):
    mean, std = (torch.tensor(of)[:, None, None] for of in (golden.PIXEL_MEAN, golden.PIXEL_STD))
    with torch.no_grad():
        maps = model["backbone"]((case.images[index][None] - mean) / std)
        levels = model["neck"](maps)
    found = {"map": maps["res4"]} | {f"level{place}": map_ for place, map_ in enumerate(levels)}
    for name, map_ in found.items():
        expected = torch.from_numpy(case.arrays[f"img{index}_{name}"])
        torch.testing.assert_close(map_[0], expected, rtol=1e-4, atol=1e-5)
