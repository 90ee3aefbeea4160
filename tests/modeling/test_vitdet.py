import pytest
import torch
import torch.nn.functional as F
from detectron2.layers import ShapeSpec

from hdetr_d2.errors import UserError
from hdetr_d2.modeling import ViTDet, ViTDetPyramid, WindowedViT

OPTIONS = {"embed_dim": 16, "depth": 3, "num_heads": 2, "window_size": 2}


def small(*, whole=(2,), **arguments):
    torch.manual_seed(0)
    options = {**OPTIONS, "global_attn_indexes": whole}
    settings = {"image_size": 64, "positions": 3, "pretrained": False, "options": options}
    return ViTDet(name="samvit_base_patch16", **settings | arguments)


def test_the_map_has_whole_patches():
    vit = small()
    assert vit.padding_constraints == {"size_divisibility": 16}
    assert vit.output_shape() == {"res4": ShapeSpec(channels=16, stride=16)}
    assert vit(torch.randn(2, 3, 70, 33))["res4"].shape == (2, 16, 5, 3)


def test_absolute_positions_are_resampled():
    vit = small()
    learned = vit.net.pos_embed
    assert torch.equal(vit._positions((3, 3)), learned)
    expected = F.interpolate(learned.permute(0, 3, 1, 2), (4, 5), mode="bicubic")
    torch.testing.assert_close(vit._positions((4, 5)), expected.permute(0, 2, 3, 1))


@pytest.mark.parametrize("whole", [False, True])
def test_windows_end_where_they_end(whole):
    vit = small(whole=(2,) if whole else ()).eval()
    image = torch.randn(1, 3, 64, 64)
    changed = image.clone()
    changed[..., 48:, 48:] = 0  # the last patch: it is in the last of four windows
    with torch.no_grad():
        difference = (vit(changed)["res4"] - vit(image)["res4"]).abs().amax((0, 1))
    assert (difference[2:, 2:] > 0).all()
    assert bool((difference[:2, :2] > 0).all()) is whole


def test_recomputed_activations_give_the_same_gradients():
    image = torch.randn(1, 3, 48, 48)
    gradients = []
    for checkpointing in (False, True):
        vit = small(checkpointing=checkpointing)
        vit(image)["res4"].square().mean().backward()
        gradients.append([parameter.grad for parameter in vit.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_without_weights_it_does_not_train():
    vit = small(pretrained=None)
    with pytest.raises(UserError, match="none was loaded"):
        vit(torch.randn(1, 3, 32, 32))
    vit.load_state_dict(vit.state_dict())
    vit(torch.randn(1, 3, 32, 32))


def test_what_is_no_vitdet():
    with pytest.raises(UserError, match="name=vit_base_patch16_224: only timm's samvit"):
        ViTDet(name="vit_base_patch16_224")
    with pytest.raises(UserError, match="pretrained=True: the weights of a ViTDet come with a"):
        small(pretrained=True)
    with pytest.raises(UserError, match="only timm's EVA"):
        WindowedViT(name="samvit_base_patch16", window=2, global_every=2)


def test_the_levels_of_the_pyramid():
    torch.manual_seed(0)
    neck = ViTDetPyramid(in_shapes=[16], in_features=["res4"], out_channels=32, num_levels=5)
    levels = neck({"res4": torch.randn(2, 16, 5, 6)})
    sizes = [(10, 12), (5, 6), (2, 3), (1, 2), (1, 1)]
    assert [tuple(level.shape) for level in levels] == [(2, 32, *size) for size in sizes]
    sum(level.square().mean() for level in levels).backward()
    assert all(parameter.grad is not None for parameter in neck.parameters())


def test_what_is_no_pyramid():
    with pytest.raises(ValueError, match="num_levels=2 must be at least 3"):
        ViTDetPyramid(num_levels=2)
    with pytest.raises(ValueError, match=r"in_features=\['a', 'b'\] must be one feature"):
        ViTDetPyramid().connect({name: ShapeSpec(channels=8, stride=16) for name in "ab"})
