import math

import pytest
import torch

from hdetr_d2.errors import UserError
from hdetr_d2.layers import (
    LearnedPositionEncoding,
    ReferencePosition,
    SinePositionEncoding,
    sine_embedding,
)


def test_sine_embedding_by_hand():
    # Two frequencies of each coordinate: 1 and 1 / 100^(2/4) = 1/10.
    embedding = sine_embedding(torch.tensor([2.0, 5.0]), 4, temperature=100.0)
    expected = []
    for angle in (2.0, 0.2, 5.0, 0.5):
        expected += [math.sin(angle), math.cos(angle)]
    assert embedding.tolist() == pytest.approx(expected, abs=1e-6)
    assert sine_embedding(torch.zeros(3, 0, 4), 6).shape == (3, 0, 24)


def encoding_by_loops(
    padding: torch.Tensor, dim: int, temperature: float, offset: float
) -> torch.Tensor:
    """One cell after the other: y and x count the unpadded cells above and to the left."""
    images, height, width = padding.shape
    out = torch.zeros(images, height, width, dim)
    for image in range(images):
        inside = (~padding[image]).int()
        for row in range(height):
            for column in range(width):
                y, x = inside[: row + 1, column].sum(), inside[row, : column + 1].sum()
                rows, columns = inside[:, column].sum(), inside[row].sum()
                values = []
                for place, extent in ((y, rows), (x, columns)):
                    angle = 2 * math.pi * (place.item() + offset) / (extent.item() + 1e-6)
                    for pair in range(dim // 4):
                        wave = angle / temperature ** (2 * pair / (dim // 2))
                        values += [math.sin(wave), math.cos(wave)]
                out[image, row, column] = torch.tensor(values)
    return out


@pytest.mark.parametrize(("temperature", "offset"), [(10000.0, -0.5), (20.0, 0.0)])
def test_encoding_against_loops(temperature: float, offset: float):
    padding = torch.zeros(2, 4, 5, dtype=torch.bool)
    padding[1, 3:] = True
    padding[1, :, 2:] = True
    levels = [padding, torch.zeros(2, 1, 2, dtype=torch.bool), padding[:, ::2, ::2]]
    encoding = SinePositionEncoding(dim=16, temperature=temperature, offset=offset)(levels)
    expected = torch.cat(
        [encoding_by_loops(level, 16, temperature, offset).flatten(1, 2) for level in levels], 1
    )
    seen = ~torch.cat([level.flatten(1) for level in levels], 1)
    assert encoding.shape == (2, 4 * 5 + 2 + 2 * 3, 16)
    torch.testing.assert_close(encoding[seen], expected[seen], atol=1e-5, rtol=0)
    assert encoding.isfinite().all()


def test_a_padded_image_is_encoded_as_it_is_alone():
    encode = SinePositionEncoding(dim=8)
    alone = encode([torch.zeros(1, 3, 2, dtype=torch.bool)])
    padding = torch.ones(1, 6, 5, dtype=torch.bool)
    padding[:, :3, :2] = False
    padded = encode([padding]).unflatten(1, (6, 5))
    torch.testing.assert_close(padded[:, :3, :2].flatten(1, 2), alone)


def test_an_image_of_nothing_but_padding_is_finite():
    assert SinePositionEncoding(dim=8)([torch.ones(1, 2, 2, dtype=torch.bool)]).isfinite().all()


def test_channels_must_divide():
    with pytest.raises(ValueError, match="multiple of 4"):
        SinePositionEncoding(dim=6)


def test_learned_positions_have_a_half_for_the_column_and_one_for_the_row():
    encode = LearnedPositionEncoding(dim=4, num_cells=3)
    found = encode([torch.zeros(2, 2, 3, dtype=torch.bool), torch.ones(2, 1, 1, dtype=torch.bool)])
    assert found.shape == (2, 7, 4)
    assert torch.equal(found[0, 6], found[0, 0])  # the only cell of the second level
    found = found[:, :6].unflatten(1, (2, 3))
    for row in range(2):
        for column in range(3):
            expected = torch.cat([encode.columns[column], encode.rows[row]])
            assert torch.equal(found[1, row, column], expected)
    assert encode.rows.min() >= 0 and encode.rows.max() <= 1  # as the published ones start


def test_a_map_with_more_cells_than_are_learned():
    with pytest.raises(UserError, match=r"2 x 4 cells has more than the 3 .*position\.num_cells"):
        LearnedPositionEncoding(dim=4, num_cells=3)([torch.zeros(1, 2, 4, dtype=torch.bool)])
    with pytest.raises(ValueError, match="an even dim, not 5"):
        LearnedPositionEncoding(dim=5)


def test_the_position_of_a_reference_counts_y_before_x():
    position = ReferencePosition(dim=8)
    position.mlp = torch.nn.Identity()
    x, y, w, h = torch.rand(4, 2, 3)
    found = position(torch.stack([x, y, w, h], -1))
    expected = sine_embedding(2 * math.pi * torch.stack([y, x, w, h], -1), 4)
    assert found.shape == (2, 3, 16)
    torch.testing.assert_close(found, expected)
