"""The feature maps of a batch on their way to the decoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass
class Memory:
    """The encoder's output for the decoder: all levels flattened and concatenated.

    tokens: `Tensor[B, S, C]`. padding: `Tensor[B, S]` bool, True for padding. shapes: (H, W) of
    each level, on the host. valid_ratios: `Tensor[B, L, 2]`, the fraction (x, y) of a level that
    the image fills. position: positional encoding of the tokens, `Tensor[B, S, C]`; None if the
    decoder does not use it. centres: centres (x, y) of the tokens' cells, `Tensor[B, S, 2]`,
    normalised to the unpadded image; None if there are no proposals.
    """

    tokens: Tensor
    padding: Tensor
    shapes: tuple[tuple[int, int], ...]
    valid_ratios: Tensor
    position: Tensor | None = None
    centres: Tensor | None = None

    def maps(self) -> list[Tensor]:
        """`Tensor[B, C, H_l, W_l]` for each level."""
        rows = self.tokens.split([height * width for height, width in self.shapes], 1)
        shapes = zip(rows, self.shapes, strict=True)
        return [row.transpose(1, 2).unflatten(2, shape) for row, shape in shapes]

    def level(self, index: int) -> tuple[Tensor, Tensor]:
        """Tokens `Tensor[B, H * W, C]` and padding `Tensor[B, H * W]` of one level; -1 is the
        coarsest.
        """
        sizes = [height * width for height, width in self.shapes]
        return self.tokens.split(sizes, 1)[index], self.padding.split(sizes, 1)[index]


@dataclass
class ImageMaps:
    """All feature maps and sizes of a batch.

    features: of the backbone, by name, `Tensor[B, C_f, H_f, W_f]`. levels: of the neck,
    `Tensor[B, C, H_l, W_l]`. memory: the encoder's output. size: (H, W) of the padded images.
    sizes: (H, W) of the original inputs. frames: (H, W) in pixels, to which the boxes of each image
    are normalised.
    """

    features: Mapping[str, Tensor]
    levels: Sequence[Tensor]
    memory: Memory
    size: tuple[int, int]
    sizes: Sequence[tuple[int, int]]
    frames: Sequence[tuple[int, int]]

    def of_image(self, index: int) -> "ImageMaps":
        """The maps of one image, as a batch of one."""
        one, memory = slice(index, index + 1), self.memory
        cut = (memory.tokens[one], memory.padding[one], memory.shapes, memory.valid_ratios[one])
        features = {name: feature[one] for name, feature in self.features.items()}
        levels = [level[one] for level in self.levels]
        return ImageMaps(
            features, levels, Memory(*cut), self.size, self.sizes[one], self.frames[one]
        )
