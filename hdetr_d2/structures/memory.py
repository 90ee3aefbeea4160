"""The feature maps of a batch at every stage on the way to the decoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass
class Memory:
    """What the encoder leaves for the decoder: all levels flattened one after the other.

    tokens: `Tensor[B, S, C]`. padding: `Tensor[B, S]` bool, True in the padded part. shapes: (H, W)
    of each level, on the host. valid_ratios: `Tensor[B, L, 2]`, the share (x, y) of a level that
    the image fills. position: of the tokens, `Tensor[B, S, C]`; None where the decoder asks for
    none. centres: (x, y) of the tokens' cells, `Tensor[B, S, 2]`, 1 being the end of the image;
    None where nobody asks for proposals.
    """

    tokens: Tensor
    padding: Tensor
    shapes: tuple[tuple[int, int], ...]
    valid_ratios: Tensor
    position: Tensor | None = None
    centres: Tensor | None = None

    def maps(self) -> list[Tensor]:
        """`Tensor[B, C, H_l, W_l]` of each level."""
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
    """What is known of the pixels of a batch.

    features: of the backbone, by name, `Tensor[B, C_f, H_f, W_f]`. levels: of the neck, `Tensor[B,
    C, H_l, W_l]`. memory: the encoder's output. size: (H, W) of the padded images. sizes: (H, W) of
    the images as they came. frames: (H, W) in pixels that the boxes of each image are relative to.
    """

    features: Mapping[str, Tensor]
    levels: Sequence[Tensor]
    memory: Memory
    size: tuple[int, int]
    sizes: Sequence[tuple[int, int]]
    frames: Sequence[tuple[int, int]]

    def of_image(self, index: int) -> "ImageMaps":
        """Those of one image, as a batch of one."""
        one, memory = slice(index, index + 1), self.memory
        cut = (memory.tokens[one], memory.padding[one], memory.shapes, memory.valid_ratios[one])
        features = {name: feature[one] for name, feature in self.features.items()}
        levels = [level[one] for level in self.levels]
        return ImageMaps(
            features, levels, Memory(*cut), self.size, self.sizes[one], self.frames[one]
        )
