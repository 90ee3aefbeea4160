"""The encoder that leaves the finest maps as they are."""

import pytest
import torch

from hdetr_d2.layers import SinePositionEncoding
from hdetr_d2.modeling import CoarseEncoder, DeformableEncoder, LayerSizes

SIZES = LayerSizes(
    dim=32, num_heads=2, num_levels=3, num_points=2, feedforward_dim=16, dropout=0.0, pre_norm=False
)
OPTIONS = {"sizes": SIZES, "num_layers": 2, "position": SinePositionEncoding(dim=32)}
SHAPES = [(8, 6), (4, 3), (2, 2)]


def inputs() -> tuple[list[torch.Tensor], torch.Tensor]:
    maps = [torch.randn(2, 32, *shape, requires_grad=True) for shape in SHAPES]
    padding = torch.zeros(2, 32, 24, dtype=torch.bool)
    padding[1, 20:] = True
    return maps, padding


@pytest.mark.parametrize("passed", [1, 2])
def test_the_finest_levels_pass_by_and_are_seen(passed: int) -> None:
    encoder = CoarseEncoder(passed=passed, **OPTIONS)
    maps, padding = inputs()
    memory = encoder(maps, padding)
    assert memory.shapes == tuple(SHAPES)
    for before, after in zip(maps[:passed], memory.maps(), strict=False):
        assert torch.equal(before, after)
    memory.level(-1)[0].square().sum().backward()
    assert all(map_.grad is not None and map_.grad.abs().sum() > 0 for map_ in maps)


def test_the_coarse_levels_are_those_of_one_layer_over_all() -> None:
    encoder, whole = CoarseEncoder(passed=1, **OPTIONS), DeformableEncoder(**OPTIONS)
    whole.load_state_dict(encoder.state_dict())
    for each in (encoder, whole):
        each.layers = each.layers[:1]
        torch.nn.init.normal_(each.layers[0].attention.sampling_offsets.weight, std=0.1)
    whole.load_state_dict(encoder.state_dict())
    maps, padding = inputs()
    fine = SHAPES[0][0] * SHAPES[0][1]
    few, all_of_them = encoder(maps, padding).tokens, whole(maps, padding).tokens
    torch.testing.assert_close(few[:, fine:], all_of_them[:, fine:])
    assert not torch.allclose(few[:, :fine], all_of_them[:, :fine])


@pytest.mark.parametrize("passed", [0, 3])
def test_some_levels_are_encoded_and_some_are_not(passed: int) -> None:
    with pytest.raises(ValueError, match=f"encoder.passed={passed} must be"):
        CoarseEncoder(passed=passed, **OPTIONS)


@pytest.mark.parametrize("num_layers", [0, 1])
def test_what_is_learned_gets_a_gradient(num_layers: int) -> None:
    encoder = CoarseEncoder(passed=1, **{**OPTIONS, "num_layers": num_layers})
    encoder(*inputs()).tokens.square().sum().backward()
    learned = {name for name, each in encoder.named_parameters() if each.requires_grad}
    assert ("level_embed" in learned) is (num_layers > 0)
    assert all(dict(encoder.named_parameters())[name].grad is not None for name in learned)
