"""One small model of every family of timm, on sizes that no stride divides: the padding that it
asks for, and that the rest of a detector looks for what an image shows where it is.

Run as a script it writes the rows of the table in docs/BACKBONES.md.
"""

import hdetr_d2  # noqa: F401

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import timm
import torch
from torch import nn

from hdetr_d2.errors import UserError
from hdetr_d2.modeling import Preprocessing, TimmBackbone
from hdetr_d2.modeling.backbone.folding import fold_norms
from hdetr_d2.modeling.backbone.norm import FrozenBatchNorm2d, batch_norms, replace
from hdetr_d2.modeling.backbone.stages import find_stages
from hdetr_d2.modeling.backbone.timm_models import family_of, meta_classifier
from hdetr_d2.modeling.transformer.geometry import (
    cell_centres,
    cells_of,
    padding_of,
    valid_ratios_of,
)

pytestmark = pytest.mark.slow

TIMM = "1.0.31"  # whose families are listed; another release has others
PAGE = Path(__file__).parents[2] / "docs" / "BACKBONES.md"
SIZES = [(95, 95), (161, 161), (250, 330)]
ANY: dict[str, int] = {}


def whole(cells: int) -> dict[str, int]:
    return {"size_divisibility": cells}


def square(side: int) -> dict[str, int]:
    return {"square_size": side}


class Case(NamedTuple):
    """A model, what it asks for (None: it is refused), and what makes it small."""

    name: str
    padding: dict[str, int] | None
    options: dict[str, Any] = {}


SHORT = {"depth": 2}
NARROW = {"depth": 2, "embed_dim": 48, "num_heads": 2}
FOUR = {"depths": (1, 1, 1, 1)}

FAMILIES = {
    "beit": Case("beit_base_patch16_224", square(224), NARROW),
    "byoanet": Case("halonet26t", whole(256)),
    "byobnet": Case("test_byobnet", ANY),
    "cait": Case("cait_xxs24_224", square(224), SHORT),
    "coat": Case("coat_lite_tiny", square(224), {"serial_depths": (1, 1, 1, 1)}),
    "convit": Case("convit_tiny", square(224), SHORT),
    "convmixer": Case("convmixer_768_32", whole(7)),
    "convnext": Case("test_convnext", whole(32)),
    "cpubone": Case("cpubone_nano", ANY),
    "crossvit": Case("crossvit_tiny_240", None),
    "csatv2": Case("csatv2", whole(64)),
    "cspnet": Case("darknet17", ANY),
    "cspnext": Case("cspnext_tiny", ANY),
    "davit": Case("davit_tiny", ANY, FOUR),
    "deepseek_vit": Case("deepseek_vit_412m", whole(14), NARROW),
    "deit": Case("deit_tiny_distilled_patch16_224", whole(16), SHORT),
    "densenet": Case("densenet121", whole(32), {"block_config": (1, 1, 1, 1)}),
    "dla": Case("dla46_c", whole(32)),
    "dpn": Case("dpn48b", ANY),
    "edgenext": Case("edgenext_xx_small", whole(32), FOUR),
    "efficientformer": Case("efficientformer_l1", square(224)),
    "efficientformer_v2": Case("efficientformerv2_s0", square(224)),
    "efficientnet": Case("test_efficientnet", ANY),
    "efficientvim": Case("efficientvim_m1", ANY),
    "efficientvit_mit": Case("efficientvit_b0", ANY),
    "efficientvit_msra": Case("efficientvit_m0", ANY),
    "eva": Case("eva02_tiny_patch14_224", whole(14), SHORT),
    "fasternet": Case("fasternet_t0", whole(32)),
    "fastvit": Case("fastvit_t8", ANY, {"layers": (1, 1, 1, 1)}),
    "focalnet": Case("focalnet_tiny_srf", whole(32)),
    "gcvit": Case("gcvit_xxtiny", square(224)),
    "gemma4_vit": Case("gemma4_vit_167m", None, SHORT),
    "ghostnet": Case("ghostnet_050", ANY),
    "hardcorenas": Case("hardcorenas_a", ANY),
    "hgnet": Case("hgnetv2_b0", ANY),
    "hiera": Case("hiera_tiny_224", square(224)),
    "hieradet_sam2": Case("hieradet_small", whole(32)),
    "hrnet": Case("hrnet_w18_small", whole(32)),
    "iformer": Case("iformer_t", ANY),
    "inception_next": Case("inception_next_atto", whole(32), FOUR),
    "inception_resnet_v2": Case("inception_resnet_v2", None),
    "inception_v3": Case("inception_v3", None),
    "inception_v4": Case("inception_v4", None),
    "lcnetv2": Case("lcnetv2_small", ANY, FOUR),
    "levit": Case("levit_128s", square(224)),
    "lowformer": Case("lowformer_b0", ANY),
    "mambaout": Case("test_mambaout", ANY),
    "maxxvit": Case("test_maxvit", whole(160)),
    "metaformer": Case("poolformer_s12", whole(32)),
    "mlp_mixer": Case("mixer_s32_224", square(224)),
    "mobilenetv3": Case("mobilenetv3_small_050", ANY),
    "mobilenetv5": Case("mobilenetv5_base", ANY),
    "mobilevit": Case("mobilevit_xxs", ANY),
    "mvitv2": Case("mvitv2_tiny", ANY),
    "naflexvit": Case("naflexvit_base_patch16_gap", whole(16), NARROW),
    "nasnet": Case("nasnetalarge", None),
    "nest": Case("nest_tiny", square(224)),
    "nextvit": Case("nextvit_small", ANY),
    "nfnet": Case("test_nfnet", ANY),
    "pit": Case("pit_ti_224", None),
    "pnasnet": Case("pnasnet5large", None),
    "pvt_v2": Case("pvt_v2_b0", ANY),
    "qwen3_vit": Case("qwen3_vit_88m", whole(16), NARROW),
    "rdnet": Case("rdnet_tiny", whole(32)),
    "regnet": Case("regnetx_002", ANY),
    "repghost": Case("repghostnet_050", ANY),
    "repvit": Case("repvit_m0_9", ANY),
    "res2net": Case("res2net50_26w_4s", ANY),
    "resnest": Case("resnest14d", ANY),
    "resnet": Case("test_resnet", ANY),
    "resnetv2": Case("resnetv2_18", ANY),
    "rexnet": Case("rexnet_100", ANY),
    "selecsls": Case("selecsls42", ANY),
    "senet": Case("legacy_seresnet18", whole(32)),
    "sequencer": Case("sequencer2d_s", whole(14), {"layers": (1, 1, 1, 1)}),
    "shvit": Case("shvit_s1", ANY),
    "sknet": Case("skresnet18", ANY),
    "starnet": Case("starnet_s050", ANY),
    "swiftformer": Case("swiftformer_xs", ANY),
    "swin_transformer": Case("swin_tiny_patch4_window7_224", ANY, {"depths": (2, 2, 2, 2)}),
    "swin_transformer_v2": Case("swinv2_tiny_window8_256", ANY, {"depths": (2, 2, 2, 2)}),
    "swin_transformer_v2_cr": Case("swinv2_cr_tiny_224", whole(32), {"depths": (2, 2, 2, 2)}),
    "tiny_vit": Case("tiny_vit_5m_224", ANY, FOUR),
    "tnt": Case("tnt_s_patch16_224", square(224), SHORT),
    "tresnet": Case("tresnet_m", None),
    "twins": Case("twins_pcpvt_small", whole(32), FOUR),
    "vgg": Case("vgg11", whole(32)),
    "visformer": Case("visformer_tiny", square(224)),
    "vision_transformer": Case("test_vit", whole(16)),
    "vision_transformer_hybrid": Case("vit_tiny_r_s16_p8_224", whole(32), SHORT),
    "vision_transformer_relpos": Case("test_vit_relpos", square(160)),
    "vision_transformer_sam": Case("samvit_base_patch16_224", whole(16), NARROW),
    "vitamin": Case("vitamin_small_224", whole(16)),
    "volo": Case("volo_d1_224", square(224)),
    "vovnet": Case("ese_vovnet19b_slim", whole(32)),
    "xception": Case("legacy_xception", None),
    "xception_aligned": Case("xception41", ANY),
    "xcit": Case("xcit_nano_12_p8_224", ANY, SHORT),
}
# Models that are slow, and those in which random weights mix the whole image from the first layer
# on: the shapes of their maps are compared without values.
SHAPES_ALONE = {
    "coat",
    "convmixer",
    "csatv2",
    "efficientformer",
    "efficientformer_v2",
    "focalnet",
    "gcvit",
    "hiera",
    "hieradet_sam2",
    "lowformer",
    "metaformer",
    "mlp_mixer",
    "mobilenetv5",
    "mvitv2",
    "nest",
    "nextvit",
    "rdnet",
    "selecsls",
    "vgg",
    "vitamin",
    "volo",
}
# Here random weights do so in deeper layers: attention, and its means, over the whole map.
FINEST_ALONE = {"cpubone", "levit", "shvit", "tiny_vit"}


def make(family: str) -> TimmBackbone:
    """With the coarsest map of every stride."""
    name, _, options = FAMILIES[family]
    if not timm.is_model(name):
        pytest.skip(f"timm {timm.__version__} has no {name}")
    stages = find_stages(meta_classifier(name, options))
    by_stride = {stage.stride: key for key, stage in stages.items()}
    return TimmBackbone(
        name=name, out_features=list(by_stride.values()), pretrained=False, options=options
    )


@pytest.mark.parametrize(
    "family", [name for name, case in FAMILIES.items() if case.padding is None]
)
def test_a_model_without_maps_over_the_image_is_refused_in_a_sentence(family: str):
    with torch.device("meta"), pytest.raises(UserError, match=f"{FAMILIES[family].name}.*choose"):
        make(family)


@pytest.mark.parametrize(
    "family", [name for name, case in FAMILIES.items() if case.padding is not None]
)
def test_every_weight_is_a_parameter_that_is_there(family: str):
    """What looks for the padding leaves none behind on the meta device."""
    backbone = make(family)
    for name, tensor in backbone.named_parameters():
        assert isinstance(tensor, nn.Parameter), name
    named = [*backbone.named_parameters(), *backbone.named_buffers()]
    assert [name for name, tensor in named if tensor.is_meta] == []


@pytest.mark.parametrize(
    "family", [name for name, case in FAMILIES.items() if case.padding is not None]
)
def test_constant_norms_are_folded_without_a_change(family: str):
    torch.manual_seed(0)
    backbone = make(family).eval().double()  # in which random weights magnify no rounding
    replace(backbone, batch_norms(backbone), FrozenBatchNorm2d)
    for module in backbone.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.8, 1.2)
            module.fold()
    image = torch.randn(1, 3, 160, 160, dtype=torch.float64)
    with torch.no_grad():
        expected = backbone(image)
        fold_norms(backbone, 3, torch.float64)
        found = backbone(image)
    for name, wanted in expected.items():
        assert (found[name] - wanted).abs().max() <= 1e-9 * wanted.abs().max()


def prepare(backbone: TimmBackbone) -> Preprocessing:
    preprocessing = Preprocessing(pixel_mean=[123.0] * 3, pixel_std=[58.0] * 3)
    preprocessing.keep_to(backbone)
    return preprocessing


def check_shapes(backbone: TimmBackbone, maps: dict[str, torch.Tensor], size: torch.Size) -> None:
    for name, shape in backbone.output_shape().items():
        cells = tuple(-(-side // shape.stride) for side in size)
        assert maps[name].shape[1:] == (shape.channels, *cells), name


def believed(map_: torch.Tensor, padding: torch.Tensor, size: tuple[int, int]) -> list[float]:
    """Where a detector looks, (x, y) in pixels, for what changed most in the map between the two
    images of a batch.
    """
    change = (map_[1] - map_[0]).abs().sum(0).flatten()
    change = (change - change.median()).clamp(min=0)  # attention changes a little everywhere
    share = (change / change.max()) ** 4
    shapes = [tuple(map_.shape[-2:])]
    cells = cells_of(shapes, padding)
    ratios = valid_ratios_of(padding_of(padding, cells, shapes), shapes)
    centres = cell_centres(cells, ratios, shapes)[0]
    place = (centres * share[:, None]).sum(0) / share.sum()
    return (place * torch.tensor([size[1], size[0]])).tolist()


WORKING = [name for name, case in FAMILIES.items() if case.padding is not None]


@pytest.mark.parametrize("family", [name for name in WORKING if name not in SHAPES_ALONE])
@torch.no_grad()
def test_what_an_image_shows_is_believed_where_it_is(family: str):
    backbone = make(family).eval()
    assert backbone.padding_constraints == FAMILIES[family].padding
    for name, parameter in backbone.named_parameters():
        if name.endswith("weight") and parameter.ndim == 1 and not parameter.any():
            parameter.fill_(1.0)  # a branch that starts at zero shows nothing
    preprocessing = prepare(backbone)
    for height, width in SIZES:
        if "square_size" in backbone.padding_constraints and width > preprocessing.square:
            continue
        x, y = width - 20, height - 24
        images = torch.full((2, 3, height, width), 120.0)
        images[1, :, y - 4 : y + 4, x - 4 : x + 4] = 255.0
        batch = preprocessing(list(images))
        maps = backbone(batch.tensor)
        check_shapes(backbone, maps, batch.tensor.shape[-2:])
        shapes = list(backbone.output_shape().items())
        for name, shape in shapes[:1] if family in FINEST_ALONE else shapes:
            found = believed(maps[name], batch.padding, (height, width))
            off = max(abs(found[0] - x), abs(found[1] - y))
            # A padded map ends with a whole cell, and what is found is the middle of one.
            assert off <= max(1.5 * shape.stride, 8), (name, (height, width), found, (x, y))


@pytest.mark.parametrize("family", [name for name in WORKING if name in SHAPES_ALONE])
def test_maps_have_all_of_their_cells(family: str):
    with torch.device("meta"):
        backbone = make(family).eval()
        assert backbone.padding_constraints == FAMILIES[family].padding
        multiple = max(1, backbone.size_divisibility)
        for size in SIZES:
            side = backbone.padding_constraints.get("square_size")
            padded = [side or -(-length // multiple) * multiple for length in size]
            check_shapes(backbone, backbone(torch.zeros(1, 3, *padded)), torch.Size(padded))


def test_every_family_of_this_timm_is_known():
    found = {family_of(name) for name in timm.list_models()}
    assert [name for name in found - set(FAMILIES) if timm.__version__ == TIMM] == []


def rows() -> str:
    """Of the documentation's table."""
    words = {"size_divisibility": "multiples of", "square_size": "square of"}
    lines = []
    for family, case in FAMILIES.items():
        asks = [f"{words[key]} {value}" for key, value in (case.padding or {}).items()]
        padding = "none" if case.padding is None else "".join(asks) or "any"
        lines.append(f"| {family} | {case.name} | {padding} |\n")
    return "".join(lines)


def test_the_documentation_has_this_table():
    page = PAGE.read_text()
    assert f"timm {TIMM}" in page and page.endswith(f"| --- |\n{rows()}")


if __name__ == "__main__":
    print(rows(), end="")
