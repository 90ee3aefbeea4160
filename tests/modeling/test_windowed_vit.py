"""A plain ViT with windows, at a size for tests."""

from pathlib import Path

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

from hdetr_d2.errors import UserError
from hdetr_d2.modeling import WindowedViT

NAME = "eva02_tiny_patch14_224"
SMALL = {"embed_dim": 32, "depth": 4, "num_heads": 2}


def make(**arguments: object) -> WindowedViT:
    """With patches of 4 pixels and windows of 2 x 2 of them."""
    defaults = dict(name=NAME, window=2, global_every=2, patch_size=4, image_size=16)
    torch.manual_seed(0)
    return WindowedViT(**{**defaults, "pretrained": False, "options": SMALL, **arguments})


@pytest.mark.parametrize("checkpointing", [False, True])
def test_shapes_and_gradients(checkpointing: bool):
    backbone = make(checkpointing=checkpointing, drop_path_rate=0.1)
    (found,) = backbone(torch.randn(2, 3, 21, 30)).values()
    assert found.shape == (2, 32, 6, 8)  # padded to 24 x 32
    found.square().mean().backward()
    assert [name for name, p in backbone.named_parameters() if p.grad is None] == []
    (shape,) = make(patch_size=16).output_shape().items()
    assert (shape[0], shape[1].channels, shape[1].stride) == ("res4", 32, 16)


def test_it_asks_for_whole_patches():
    assert make().padding_constraints == {"size_divisibility": 4}
    assert make().size_divisibility == 4


def test_a_window_as_large_as_the_map_is_the_whole_map():
    x = torch.randn(2, 3, 12, 12)
    windowed, whole = make(window=3, global_every=5), make(global_every=1)
    torch.testing.assert_close(windowed(x), whole(x))


def test_windows_do_not_see_each_other():
    backbone = make(global_every=5).eval()
    torch.nn.init.zeros_(backbone.net.pos_embed)
    x = torch.randn(1, 3, 16, 24)
    (found,) = backbone(x).values()
    for top, left in [(0, 0), (8, 8), (0, 16)]:
        (part,) = backbone(x[..., top : top + 8, left : left + 8]).values()
        row, column = top // 4, left // 4
        torch.testing.assert_close(found[..., row : row + 2, column : column + 2], part)


def test_every_nth_block_sees_the_whole_map():
    x = torch.randn(1, 3, 16, 16)
    other = x.clone()
    other[..., -1, -1] += 10
    for global_every, is_seen in [(4, True), (5, False)]:
        backbone = make(global_every=global_every).eval()
        (one,), (two,) = backbone(x).values(), backbone(other).values()
        assert torch.equal(one[..., 0, 0], two[..., 0, 0]) != is_seen


def test_a_window_that_is_not_full_has_zeros_where_nothing_is():
    backbone = make(global_every=5).eval()
    attention, x = backbone.net.blocks[0].attn, torch.randn(1, 15, 32)
    angles = backbone.net.rope.get_embed([2, 2])
    windows = type("Windows", (tuple,), {"shape": (3, 5), "side": 2, "angles": angles})
    found = attention(x, windows(((3, 5), 2, angles))).view(3, 5, 32)
    full = F.pad(x.view(3, 5, 32), (0, 0, 0, 1, 0, 1))
    for row, column in [(0, 0), (0, 2), (2, 4)]:
        part = full[row : row + 2, column : column + 2].reshape(1, 4, 32)
        alone = super(type(attention), attention).forward(part, angles).view(2, 2, 32)
        there = found[row : row + 2, column : column + 2]
        torch.testing.assert_close(there, alone[: there.shape[0], : there.shape[1]])


def test_weights_of_a_classifier(tmp_path: Path):
    classifier = timm.create_model(NAME, **SMALL)  # with a class token, and patches of 14
    torch.save(classifier.state_dict(), tmp_path / "eva.pth")
    backbone = make(pretrained=str(tmp_path / "eva.pth"), patch_size=14, image_size=224)
    assert backbone.net.pos_embed.equal(classifier.pos_embed[:, 1:])
    assert backbone.net.blocks[3].mlp.fc2.weight.equal(classifier.blocks[3].mlp.fc2.weight)
    larger = make(pretrained=str(tmp_path / "eva.pth"), patch_size=16, image_size=256)
    assert larger.net.patch_embed.proj.weight.shape[-1] == 16
    assert larger.net.pos_embed.equal(classifier.pos_embed[:, 1:])


def test_weights_that_do_not_fit(tmp_path: Path):
    torch.save({"blocks.0.norm1.weight": torch.ones(32)}, tmp_path / "part.pth")
    with pytest.raises(UserError, match="does not fit the backbone .*missing.*pos_embed"):
        make(pretrained=str(tmp_path / "part.pth"))


def test_other_families_have_no_windows():
    with pytest.raises(UserError, match="only timm's EVA models"):
        make(name="resnet10t")
    with pytest.raises(UserError, match="its attention cannot have windows"):
        make(options={**SMALL, "attn_type": "rope"})


def test_weights_of_a_checkpoint_come_before_a_training():
    weights, vit = make().state_dict(), make(pretrained=None)
    image = torch.zeros(1, 3, 64, 64)
    with pytest.raises(UserError, match="pretrained=null"):
        vit(image)
    vit.eval()(image)
    vit.train().load_state_dict({k: v for k, v in weights.items() if "norm" in k}, strict=False)
    with pytest.raises(UserError, match="pretrained=null"):
        vit(image)
    nn.ModuleDict({"backbone": vit}).load_state_dict(
        {f"backbone.{name}": value for name, value in weights.items()}
    )
    vit(image)
