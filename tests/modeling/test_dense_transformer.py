"""DETR's encoder, decoder and queries against PyTorch's own transformer layers."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from hdetr_d2.layers import LearnedPositionEncoding
from hdetr_d2.losses import SoftmaxLoss
from hdetr_d2.modeling import (
    DenseDecoder,
    DenseEncoder,
    DenseLayerSizes,
    LearnedPositions,
    PredictionHeads,
)
from hdetr_d2.structures import Match, Memory, Queries, QueryGroup

DIM, HEADS, HIDDEN = 24, 3, 20
SIZES = {"dim": DIM, "num_heads": HEADS, "feedforward_dim": HIDDEN}
NAMES = [
    ("self_attention.in_proj.", "self_attn.in_proj_"),
    ("self_attention.", "self_attn."),
    ("cross_attention.in_proj.", "multihead_attn.in_proj_"),
    ("cross_attention.", "multihead_attn."),
    ("attention.in_proj.", "self_attn.in_proj_"),
    ("attention.", "self_attn."),
    ("self_norm.", "norm1."),
    ("cross_norm.", "norm2."),
    ("feed_forward.linear", "linear"),
]


def randomise(module: nn.Module) -> nn.Module:
    """All weights drawn, so that no bias is 0 and no norm is the identity."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) / math.sqrt(DIM))
    return module.eval()


def pytorchs(
    kind: type[nn.Module], ours: nn.Module, *, pre_norm: bool, last_norm: str
) -> nn.Module:
    """PyTorch's layer with the weights of ours."""
    theirs = kind(DIM, HEADS, HIDDEN, batch_first=True, norm_first=pre_norm).eval()
    names = [*NAMES, ("feed_forward.norm.", last_norm), ("norm.", "norm1.")]

    def rename(name: str) -> str:
        old, new = next(pair for pair in names if name.startswith(pair[0]))
        return new + name.removeprefix(old)

    theirs.load_state_dict({rename(name): value for name, value in ours.state_dict().items()})
    return theirs


def maps() -> tuple[list[Tensor], Tensor]:
    """A level of two images, of which the second is padded."""
    padding = torch.zeros(2, 12, 16, dtype=torch.bool)
    padding[1, 8:] = True
    return [torch.randn(2, DIM, 3, 4)], padding


class NoPosition(nn.Module):
    """PyTorch's layers know none."""

    def forward(self, paddings: Sequence[Tensor]) -> Tensor:
        return torch.cat(
            [torch.zeros(*padding.shape, DIM).flatten(1, 2) for padding in paddings], 1
        )


@pytest.mark.parametrize("pre_norm", [False, True])
def test_the_encoder_is_pytorchs(pre_norm: bool) -> None:
    sizes = DenseLayerSizes(**SIZES, pre_norm=pre_norm)
    encoder = randomise(DenseEncoder(sizes=sizes, num_layers=2, position=NoPosition()))
    features, padding = maps()
    memory = encoder(features, padding)
    x = features[0].flatten(2).transpose(1, 2)
    for layer in encoder.layers:
        theirs = pytorchs(nn.TransformerEncoderLayer, layer, pre_norm=pre_norm, last_norm="norm2.")
        with torch.enable_grad():  # without gradients PyTorch takes another way
            x = theirs(x, src_key_padding_mask=memory.padding)
    inside = ~memory.padding
    torch.testing.assert_close(memory.tokens[inside], encoder.norm(x)[inside], rtol=1e-4, atol=1e-5)
    assert isinstance(encoder.norm, nn.LayerNorm if pre_norm else nn.Identity)


def make_decoder(*, pre_norm: bool = False) -> DenseDecoder:
    heads = PredictionHeads(
        dim=DIM, num_classes=2, num_layers=2, class_loss=SoftmaxLoss(), shared=True
    )
    sizes = DenseLayerSizes(**SIZES, pre_norm=pre_norm)
    return randomise(DenseDecoder(sizes=sizes, num_layers=2, heads=heads))


def make_memory() -> Memory:
    features, padding = maps()
    encoder = DenseEncoder(
        sizes=DenseLayerSizes(**SIZES), num_layers=0, position=LearnedPositionEncoding(dim=DIM)
    )
    return encoder(features, padding)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_the_decoder_is_pytorchs(pre_norm: bool) -> None:
    decoder, memory = make_decoder(pre_norm=pre_norm), make_memory()
    memory.position = torch.zeros_like(memory.tokens)
    content = torch.randn(2, 5, DIM)
    queries = Queries(content, torch.zeros_like(content), None)
    found = decoder([QueryGroup(name="", queries=queries, assigner=Match((1, 1)))], memory)[0]
    x = content
    for index, layer in enumerate(decoder.layers):
        theirs = pytorchs(nn.TransformerDecoderLayer, layer, pre_norm=pre_norm, last_norm="norm3.")
        x = theirs(x, memory.tokens, memory_key_padding_mask=memory.padding)
        logits, boxes = decoder.heads(index, decoder.norm(x))
        torch.testing.assert_close(found.logits[index], logits, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.boxes[index], boxes.sigmoid(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.states, decoder.norm(x), rtol=1e-4, atol=1e-5)


def test_positions_are_in_queries_and_keys_and_not_in_values() -> None:
    decoder, memory = make_decoder(), make_memory()
    assert memory.position is not None
    layer, query = decoder.layers[0], torch.randn(2, 5, DIM)
    expected = layer.cross_attention(
        query, memory.tokens + memory.position, memory.tokens, memory.padding
    )
    assert torch.equal(layer.attend(query, memory), expected)


def test_what_is_padded_is_seen_by_nobody() -> None:
    features, padding = maps()
    encoder = randomise(
        DenseEncoder(
            sizes=DenseLayerSizes(**SIZES),
            num_layers=1,
            position=LearnedPositionEncoding(dim=DIM),
        )
    )
    whole = encoder(features, padding)
    alone = encoder([features[0][1:, :, :2]], padding[1:, :8])
    torch.testing.assert_close(whole.tokens[1:, :8], alone.tokens)
    assert whole.shapes == ((3, 4),) and whole.padding[1].tolist() == [False] * 8 + [True] * 4


def test_queries_start_without_content_and_place() -> None:
    selection = LearnedPositions(num_queries=4, dim=DIM)
    found = selection(make_memory(), [selection.make_slots(3)])
    assert found.main.reference is None and found.proposals is None
    assert not found.main.content.any() and found.extra[0].content.shape == (2, 3, DIM)
    assert found.main.position is not None
    assert torch.equal(found.main.position[1], selection.slots.table)
    assert selection.embed_boxes(torch.rand(2, 6, 4)).shape == (2, 6, DIM)
