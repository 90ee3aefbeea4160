import copy
import logging
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch
from detectron2.layers import ShapeSpec
from torch import nn

from hdetr_d2.errors import UserError
from hdetr_d2.modeling.backbone import (
    FrozenBatchNorm2d,
    TimmBackbone,
    pretrained,
    without_pretrained,
)

# Models cut as small as their families allow.
SWIN = {"embed_dim": 8, "depths": [2, 2, 2, 2], "num_heads": (1, 1, 2, 2)}
SMALL = {
    "resnet10t": {"norm": "bn"},
    "resnet18": {"norm": "gn", "output_stride": 16},
    "regnetx_002": {"norm": "bn"},
    "mobilenetv3_small_050": {"norm": "gn"},
    "convnext_atto": {"options": {"dims": (8, 16, 24, 32)}, "drop_path_rate": 0.1},
    "swin_tiny_patch4_window7_224": {"options": SWIN},
    "swinv2_tiny_window8_256": {"options": SWIN},
    "vit_tiny_patch16_224": {
        "options": {"embed_dim": 24, "depth": 4},
        "out_features": ("res5", "res6"),
    },
}


def make(name: str = "resnet10t", **arguments: object) -> TimmBackbone:
    return TimmBackbone(**{"name": name, "pretrained": False, **arguments})


def trainable(module: nn.Module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    path = tmp_path / "resnet10t.pth"
    torch.save(timm.create_model("resnet10t", num_classes=5).state_dict(), path)
    return path


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_shapes_and_gradients_of_any_model(name: str, checkpointing: bool):
    backbone = make(name, checkpointing=checkpointing, **SMALL[name])
    maps = backbone(torch.randn(2, 3, 65, 90))
    assert list(maps) == list(backbone.output_shape())
    for key, shape in backbone.output_shape().items():
        cells = (-(-65 // shape.stride), -(-90 // shape.stride))
        assert maps[key].shape == (2, shape.channels, *cells)
    sum(feature.square().sum() for feature in maps.values()).backward()
    lost = [key for key, parameter in backbone.named_parameters() if parameter.grad is None]
    assert lost == []


def test_padding_is_that_of_the_maps_in_use():
    """ConvNeXt cuts off what does not fill a cell; its strides are 4, 8, 16, 32."""
    assert make("convnext_atto", out_features=["res2"]).size_divisibility == 4
    assert make("convnext_atto", out_features=["res2", "res4"]).padding_constraints == {
        "size_divisibility": 16
    }
    assert make("resnet10t").padding_constraints == {} and make("resnet10t").size_divisibility == 0


def test_without_the_padding_that_it_asks_for_there_are_no_cells_beyond_the_image():
    backbone = make("convnext_atto", options=SMALL["convnext_atto"]["options"]).eval()
    x = torch.randn(1, 3, 33, 70)
    padded = torch.zeros(1, 3, 64, 96)
    padded[..., :33, :70] = x
    maps, whole = backbone(x), backbone(padded)
    for name, cells in {"res3": (5, 9), "res4": (3, 5), "res5": (2, 3)}.items():
        assert maps[name].equal(whole[name][..., : cells[0], : cells[1]])


def test_a_new_backbone_is_in_training():
    assert make("convnext_atto").training and make("convnext_atto").net.training


def test_names_are_strides():
    backbone = make(out_features=["res5", "res2"])
    assert backbone.output_shape() == {
        "res2": ShapeSpec(channels=64, stride=4),
        "res5": ShapeSpec(channels=512, stride=32),
    }
    assert list(backbone(torch.zeros(1, 3, 64, 64))) == ["res2", "res5"]


def test_a_dilated_stage_keeps_its_name():
    backbone = make("resnet18", output_stride=16)
    assert backbone.output_shape()["res5"] == ShapeSpec(channels=512, stride=16)
    assert backbone(torch.zeros(1, 3, 64, 96))["res5"].shape == (1, 512, 4, 6)


def test_layers_after_the_last_map_do_not_exist():
    assert not any("layer4" in name for name in make(out_features=["res3"]).state_dict())


def test_other_numbers_of_channels():
    assert make(in_chans=1)(torch.zeros(1, 1, 64, 64))["res5"].shape == (1, 512, 2, 2)


def test_checkpointing_changes_nothing():
    arguments = {"name": "swin_tiny_patch4_window7_224", "options": SWIN, "drop_path_rate": 0.0}
    plain, saving = make(**arguments), make(**arguments, checkpointing=True)
    saving.load_state_dict(plain.state_dict())
    x, direction = torch.randn(1, 3, 64, 64), torch.randn(1, 64, 2, 2)
    gradients = []
    for backbone in (plain, saving):
        (backbone(x)["res5"] * direction).sum().backward()
        gradients.append([parameter.grad for parameter in backbone.net.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("rate", "expected"), [(None, 0.1), (0.0, 0.0), (0.4, 0.4)])
def test_stochastic_depth_is_timms_unless_it_is_given(rate: float | None, expected: float):
    backbone = make("swin_tiny_patch4_window7_224", options=SWIN, drop_path_rate=rate)
    rates = [m.drop_prob for m in backbone.modules() if hasattr(m, "drop_prob")]
    assert max(rates, default=0.0) == pytest.approx(expected)


# Swin


def test_swin_is_padded_shifted_and_normalised():
    backbone = make("swin_tiny_patch4_window7_224", options=SWIN, out_features=["res2", "res5"])
    backbone.eval()
    x = torch.randn(1, 3, 61, 70)
    padded = torch.zeros(1, 3, 64, 72)
    padded[..., :61, :70] = x
    maps = backbone(x)
    torch.testing.assert_close(maps["res5"], backbone(padded)["res5"])
    assert maps["res2"].shape == (1, 8, 16, 18)
    # A fresh LayerNorm leaves mean 0 and variance 1 over the channels of each cell.
    torch.testing.assert_close(maps["res5"].mean(1), torch.zeros(1, 2, 3), atol=1e-5, rtol=0)
    shifts = [m.shift_size for m in backbone.modules() if hasattr(m, "shift_size")]
    assert [any(shift) for shift in shifts] == [False, True] * 4
    assert {"norms.res2.weight", "norms.res5.bias"} <= trainable(backbone)


def test_swin_sees_beyond_its_window_in_any_size():
    backbone = make("swin_tiny_patch4_window7_224", options=SWIN, out_features=["res2"]).eval()
    x = torch.randn(1, 3, 64, 128, requires_grad=True)
    backbone(x)["res2"][0, 0, 0, 7].backward()
    columns = x.grad.abs().sum((0, 1, 2)).nonzero().flatten() // 4
    # Cell 7 is the first of its window; with the shift it sees cells of the window before.
    assert columns.min() < 7 < columns.max()


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256"])
def test_the_edges_of_a_map_do_not_meet_in_a_window(name: str):
    window = 7 if "window7" in name else 8
    backbone = make(name, options=SWIN, out_features=["res2"]).eval()
    for norm in [module for module in backbone.modules() if isinstance(module, nn.LayerNorm)]:
        nn.init.ones_(norm.weight)  # a fresh V2 looks nowhere
    x = torch.randn(1, 3, 4 * window, 4 * (window + 1), requires_grad=True)
    backbone(x)["res2"][0, 0, 0, 0].backward()
    cells = x.grad.abs().sum((0, 1, 2)).nonzero().flatten() // 4
    # One column is beyond the first window: a map that the shift tears shows it to the first cell.
    assert cells.max() == window - 1


# Norms and freezing


def test_frozen_batch_norm_is_the_batch_norm_of_evaluation():
    norm = nn.BatchNorm2d(3, eps=0.5)
    norm.load_state_dict(
        {
            "weight": torch.tensor([2.0, 1.0, 0.0]),
            "bias": torch.tensor([0.0, 1.0, -1.0]),
            "running_mean": torch.tensor([1.0, 0.0, 5.0]),
            "running_var": torch.tensor([3.5, 0.5, 1.0]),
            "num_batches_tracked": torch.tensor(7),
        }
    )
    frozen = FrozenBatchNorm2d(norm)
    x = torch.full((1, 3, 1, 1), 3.0)
    # (3 - 1) / 2 * 2 + 0, 3 / 1 * 1 + 1, -1
    assert frozen(x).flatten().tolist() == pytest.approx([2.0, 4.0, -1.0])
    torch.testing.assert_close(frozen.train()(x), norm.eval()(x))
    assert frozen(x.bfloat16()).dtype == torch.bfloat16
    assert list(frozen.parameters()) == []
    assert set(frozen.state_dict()) == set(norm.state_dict()) - {"num_batches_tracked"}
    frozen.load_state_dict(norm.state_dict())


def test_a_frozen_batch_norm_can_be_differentiated_in_every_mode():
    norm = nn.BatchNorm2d(3).double()
    norm.running_var.uniform_(0.5, 2)
    frozen, x = FrozenBatchNorm2d(norm), torch.randn(2, 3, 2, 2, dtype=torch.float64)
    x.requires_grad_()
    modes = {"check_forward_ad": True, "check_batched_grad": True}
    assert torch.autograd.gradcheck(frozen, (x,), **modes)
    assert torch.autograd.gradgradcheck(frozen, (x,))
    torch.testing.assert_close(torch.func.vmap(frozen)(x[:, None])[:, 0], frozen(x))


def test_a_frozen_batch_norm_computes_with_what_was_loaded_last():
    norm, x = nn.BatchNorm2d(3).eval(), torch.randn(1, 3, 4, 4)
    frozen = FrozenBatchNorm2d(norm)
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            tensor.uniform_(0.5, 2)
    frozen.load_state_dict(norm.state_dict())
    torch.testing.assert_close(frozen(x), norm(x))
    holder = nn.Sequential(FrozenBatchNorm2d(nn.BatchNorm2d(3)))
    holder.load_state_dict(nn.Sequential(norm).state_dict(), assign=True)
    torch.testing.assert_close(holder(x), norm(x))
    torch.testing.assert_close(copy.deepcopy(frozen).double()(x.double()), norm(x).double())


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050"])
def test_frozen_norms_have_the_keys_and_values_of_trainable_ones(name: str):
    plain = make(name, norm="bn").eval()
    with without_pretrained():
        frozen = make(name, pretrained=True, norm="frozen_bn")
    frozen.load_state_dict(plain.state_dict())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in frozen.modules())
    x = torch.randn(1, 3, 64, 64)
    for one, other in zip(plain(x).values(), frozen.train()(x).values(), strict=True):
        torch.testing.assert_close(one, other)


def test_group_norm_keeps_activations_and_weights():
    backbone = make("mobilenetv3_small_050", norm="gn")
    kinds = [type(module) for module in backbone.modules()]
    assert nn.GroupNorm in kinds
    assert nn.BatchNorm2d not in kinds
    assert kinds.count(nn.Hardswish) == [
        type(module) for module in make("mobilenetv3_small_050").modules()
    ].count(nn.Hardswish)
    zeros = [
        m for m in make(norm="gn").modules() if isinstance(m, nn.GroupNorm) and not m.weight.any()
    ]
    assert len(zeros) == 4  # the last norm of each residual block of resnet10t


@pytest.mark.parametrize(
    ("name", "frozen", "last", "first_left"),
    [
        ("resnet10t", 1, "bn1", "layer1"),
        ("resnet10t", 2, "layer1", "layer2"),
        ("resnet10t", 4, "layer3", "layer4"),
        ("swin_tiny_patch4_window7_224", 1, "patch_embed", "layers_0"),
        ("swin_tiny_patch4_window7_224", 2, "layers_0", "layers_1"),
        ("convnext_atto", 1, "stem_1", "stages_0"),
        ("vit_tiny_patch16_224", 1, "model.patch_embed", "model.blocks.0"),
        ("vit_tiny_patch16_224", 5, "model.blocks.1", "model.blocks.2"),
    ],
)
def test_frozen_is_the_stem_and_the_stages_up_to_a_map(
    name: str, frozen: int, last: str, first_left: str
):
    arguments = {key: SMALL[name][key] for key in ("options", "out_features") if key in SMALL[name]}
    with without_pretrained():
        backbone = make(name, pretrained=True, frozen=frozen, **arguments)
    names = [key for key, _ in backbone.net.named_parameters()]
    free = trainable(backbone.net)
    assert not any(key.startswith(f"{last}.") for key in free)
    # Frozen BatchNorms have no parameters left; everything from the first stage on still learns.
    later = names[[key.startswith(f"{first_left}.") for key in names].index(True) :]
    assert free == set(later)


def test_everything_trains_when_nothing_is_frozen():
    backbone = make("vit_tiny_patch16_224", **SMALL["vit_tiny_patch16_224"])
    assert trainable(backbone) == {name for name, _ in backbone.named_parameters()}


def test_statistics_of_a_frozen_stage_stand_still():
    with without_pretrained():
        backbone = make(pretrained=True, frozen=2, norm="bn").train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone(torch.randn(2, 3, 64, 64))
    after = backbone.state_dict()
    moved = {key.split(".")[1] for key in before if not torch.equal(before[key], after[key])}
    assert moved == {"layer2", "layer3", "layer4"}


# Weights


@pytest.mark.parametrize("arguments", [{"frozen": 1}, {"norm": "frozen_bn"}])
def test_random_weights_are_not_frozen(arguments: dict):
    with pytest.raises(UserError, match="freeze random weights"):
        make(**arguments)


def test_weights_of_a_local_file(weights_file: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger="hdetr_d2")
    backbone = make(pretrained=str(weights_file), frozen=2, norm="frozen_bn")
    saved = torch.load(weights_file)
    for key, value in backbone.net.state_dict().items():
        assert torch.equal(value, saved[key])
    assert "head is left out (fc.bias, fc.weight)" in caplog.text


@pytest.mark.parametrize(
    "name", ["swin_tiny_patch4_window7_224", "vit_tiny_patch16_224", "convnext_atto"]
)
def test_a_safetensors_file_of_a_model_whose_extractor_renames(name: str, tmp_path: Path):
    arguments = {key: value for key, value in SMALL[name].items() if key != "drop_path_rate"}
    whole = timm.create_model(name, **arguments["options"])
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(whole.state_dict(), path)
    weights = {tuple(value.shape): [] for value in whole.state_dict().values()}
    for value in whole.state_dict().values():
        weights[tuple(value.shape)].append(value)
    for key, value in make(name, pretrained=str(path), **arguments).net.state_dict().items():
        assert any(torch.equal(value, known) for known in weights[tuple(value.shape)]), key


def test_wrapped_and_counterless_files_are_fine(weights_file: Path):
    state = torch.load(weights_file)
    state = {key: value for key, value in state.items() if "num_batches_tracked" not in key}
    torch.save({"model": state, "epoch": 3}, weights_file)
    backbone = make(pretrained=str(weights_file))
    assert torch.equal(backbone.net.state_dict()["conv1.0.weight"], state["conv1.0.weight"])


def test_keys_that_do_not_fit_are_all_listed(weights_file: Path):
    state = torch.load(weights_file)
    state["layer9.weight"] = state.pop("layer1.0.conv1.weight")
    state["bn1.bias"] = torch.zeros(3)
    torch.save(state, weights_file)
    with pytest.raises(UserError, match="does not fit") as error:
        make(pretrained=str(weights_file))
    for part in (
        "missing: layer1.0.conv1.weight",
        "unmatched: layer9.weight",
        "of another shape: bn1.bias",
        str(weights_file),
    ):
        assert part in str(error.value)


def test_files_that_are_no_weights(tmp_path: Path):
    with pytest.raises(UserError, match="there is no file"):
        make(pretrained=str(tmp_path / "none.pth"))
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match=r"broken\.pth cannot be read"):
        make(pretrained=str(broken))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nor this")
    with pytest.raises(UserError, match=r"broken\.safetensors cannot be read"):
        make(pretrained=str(broken))
    other = tmp_path / "other.pth"
    torch.save({"epoch": 3}, other)
    with pytest.raises(UserError, match="does not hold a state dict"):
        make(pretrained=str(other))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing listens on port 9 of this machine, and nothing is in the cache."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_offline_it_says_one_sentence(offline: None):
    with pytest.raises(
        UserError, match="resnet10t cannot be downloaded: set model.backbone.pretrained to"
    ):
        make(pretrained=True)
    assert huggingface_hub.constants.HF_HUB_OFFLINE is False


def test_a_model_that_was_never_published(offline: None):
    with pytest.raises(
        UserError, match=r"no weights that fit resnetblur18 \(No pretrained weights"
    ):
        make("resnetblur18", pretrained=True)


def test_published_weights_are_loaded(monkeypatch: pytest.MonkeyPatch):
    whole = timm.create_model("resnet10t")
    monkeypatch.setattr(pretrained, "published_weights", lambda name, options: whole.state_dict())
    backbone = make(pretrained=True, frozen=2, norm="frozen_bn")
    for key, value in backbone.net.state_dict().items():
        assert torch.equal(value, whole.state_dict()[key])


def test_a_checkpoint_may_follow_instead(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise AssertionError("weights were asked for")

    monkeypatch.setattr(pretrained, "published_weights", refuse)
    with without_pretrained():
        make(pretrained=True, frozen=2, norm="frozen_bn")
        make(pretrained="/no/such/file", frozen=2)
        make(pretrained=False, frozen=2)
    with pytest.raises(AssertionError):
        make(pretrained=True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "resnet5O"}, "no model 'resnet5O'; similar names are resnet50"),
        ({"out_features": ["res7"]}, r"\['res7'\], but resnet10t has the maps res1, res2"),
        ({"out_features": []}, r"out_features is \[\]"),
        ({"norm": "ln"}, "must be frozen_bn, bn, gn or null, not 'ln'"),
        ({"norm": "gn", "pretrained": True}, "training from scratch"),
        ({"name": "convnext_atto", "norm": "bn"}, "convnext_atto has none"),
        ({"options": {"colour": 1}}, "cannot build resnet10t"),
        ({"name": "swin_tiny_patch4_window7_224", "output_stride": 16}, "cannot build swin"),
    ],
)
def test_wishes_that_do_not_fit_are_told(arguments: dict, sentence: str):
    with pytest.raises(UserError, match=sentence):
        make(**arguments)


def test_bottlenecks_can_stride_in_their_first_convolution() -> None:
    first = make("resnet26", stride_in_1x1=True).net.layer2[0]
    assert (first.conv1.stride, first.conv2.stride) == ((2, 2), (1, 1))
    second = make("resnet26", stride_in_1x1=True).net.layer2[1]
    assert (second.conv1.stride, second.conv2.stride) == ((1, 1), (1, 1))
    with pytest.raises(UserError, match="stride_in_1x1: resnet18 has no bottlenecks"):
        make("resnet18", stride_in_1x1=True)


@pytest.mark.parametrize("name", ["resnet10t", "convnext_atto"])
def test_maps_are_normed_on_demand(name: str) -> None:
    maps = make(name, map_norm_eps=1e-6)(torch.randn(1, 3, 64, 96))
    for map_ in maps.values():
        mean, deviation = map_.mean(1), map_.std(1, unbiased=False)
        torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-4, rtol=0)
        torch.testing.assert_close(deviation, torch.ones_like(deviation), atol=1e-2, rtol=0)
    assert not make(name).norms
