"""A plain vision transformer as a backbone for large images."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import timm
import torch.nn.functional as F
from timm.models.eva import EvaAttention
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hdetr_d2.errors import UserError
from hdetr_d2.modeling.backbone import pretrained as weights
from hdetr_d2.modeling.backbone.fit import pad
from hdetr_d2.modeling.backbone.patches import PatchBackbone
from hdetr_d2.modeling.backbone.timm_models import family_of, meta_classifier, plain_options

# No head, no class token, and images of any size.
_BARE: dict[str, Any] = {
    "num_classes": 0,
    "global_pool": "",
    "class_token": False,
    "dynamic_img_size": True,
}


class WindowedViT(PatchBackbone):
    """A ViT of the EVA family (https://arxiv.org/abs/2303.11331) with window attention in most
    blocks (ViTDet, https://arxiv.org/abs/2203.16527). It has no class token, and a single map,
    normalised with weights of its own.

    Args:
        name: timm's EVA or EVA-02, with or without the tag of its weights.
        window: side of a window, in patches.
        global_every: the last block of every group of this many attends to the whole map.
        patch_size: in pixels; pretrained patch embeddings are resampled.
        image_size: side of the images whose patches have learned positions, which are resampled for
            other sizes; 512 with patches of 16 corresponds to the 32 x 32 positions of a
            pretraining at 448 with patches of 14.
        pretrained: True for timm's weights, a path for a file, False for random weights; None if a
            checkpoint will be loaded, until which the model cannot train.
        drop_path_rate: stochastic depth of the last block; it increases linearly up to there.
        checkpointing: recompute activations in the backward pass to save memory.
        options: additional arguments of the timm model.

    Raises:
        UserError: a model of another family, arguments it does not accept, weights that are not
            available or do not fit.
    """

    def __init__(
        self,
        *,
        name: str,
        window: int,
        global_every: int,
        patch_size: int = 16,
        image_size: int = 512,
        pretrained: bool | str | None = True,
        drop_path_rate: float = 0.0,
        checkpointing: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if family_of(name) != "eva":
            raise UserError(f"model.backbone.name={name}: only timm's EVA models can have windows.")
        options = {
            "patch_size": patch_size,
            "img_size": image_size,
            **plain_options(options or {}),
        }
        classifier = meta_classifier(name, options)
        self.net = timm.create_model(name, **options, **_BARE, drop_path_rate=drop_path_rate)
        self.net.norm = nn.Identity()
        if pretrained and not weights.pretrained_skipped():
            _load(self.net, classifier, name, pretrained, options)
        if pretrained is None:
            weights.expect_checkpoint(self)
        _open_windows(self.net.blocks, global_every, name)
        self.norm = nn.LayerNorm(self.net.embed_dim)
        self.window = window
        self.patch_size = patch_size
        self.checkpointing = checkpointing

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """`Tensor[B, 3, H, W]`, padded with zeros to whole patches, to the map `Tensor[B, C, H /
        patch_size, W / patch_size]`.
        """
        x = self.net.patch_embed(pad(x, self.padding_constraints))
        shape = (x.shape[1], x.shape[2])
        tokens = (x + self._positions(shape)).flatten(1, 2)
        angles = self.net.rope.get_embed(list(shape))
        windows = _Windows(shape, self.window, self.net.rope.get_embed([self.window] * 2))
        for block in self.net.blocks:
            rope = windows if isinstance(block.attn, _WindowAttention) else angles
            if self.checkpointing and self.training:
                tokens = checkpoint(block, tokens, rope, use_reentrant=False)
            else:
                tokens = block(tokens, rope)
        (name,) = self.output_shape()
        return {name: self.norm(tokens).unflatten(1, shape).permute(0, 3, 1, 2)}

    def _positions(self, shape: tuple[int, int]) -> Tensor:
        """The learned positions resampled for a map, `Tensor[1, H, W, C]`; unlike in timm without
        antialiasing, as in ViTDet and published detectors.
        """
        learned = self.net.pos_embed.unflatten(1, self.net.patch_embed.grid_size)
        if learned.shape[1:3] == shape:
            return learned
        learned = learned.permute(0, 3, 1, 2)
        return F.interpolate(learned, shape, mode="bicubic").permute(0, 2, 3, 1)


class _Windows(NamedTuple):
    """Rows and columns of a map, the side of its windows, and the rotary position embedding of a
    window.
    """

    shape: tuple[int, int]
    side: int
    angles: Tensor


class _WindowAttention(EvaAttention):
    """Attention within windows; incomplete windows are padded with zeros."""

    def forward(  # type: ignore[override]
        self, x: Tensor, rope: _Windows, *args: Any, **options: Any
    ) -> Tensor:
        """`Tensor[B, H * W, C]` to `Tensor[B, H * W, C]`."""
        (height, width), side = rope.shape, rope.side
        below, right = -height % side, -width % side
        x = F.pad(x.unflatten(1, rope.shape), (0, 0, 0, right, 0, below))
        rows, columns = (height + below) // side, (width + right) // side
        x = x.unflatten(2, (columns, side)).unflatten(1, (rows, side))
        x = x.transpose(2, 3).flatten(3, 4).flatten(0, 2)  # [B * rows * columns, side * side, C]
        x = super().forward(x, rope.angles, *args, **options)
        x = x.unflatten(1, (side, side)).unflatten(0, (-1, rows, columns)).transpose(2, 3)
        x = x.flatten(3, 4).flatten(1, 2)  # [B, rows * side, columns * side, C]
        return x[:, :height, :width].flatten(1, 2)


def _open_windows(blocks: nn.ModuleList, global_every: int, name: str) -> None:
    for place, block in enumerate(blocks, 1):
        if type(block.attn) is not EvaAttention:
            raise UserError(f"model.backbone.name={name}: its attention cannot have windows.")
        if place % global_every:
            block.attn.__class__ = _WindowAttention


def _load(
    net: Any,
    classifier: nn.Module,
    name: str,
    pretrained: bool | str,
    options: Mapping[str, Any],
) -> None:
    source, state = weights.find_weights(pretrained, name, options, classifier)
    if "pos_embed" in state:
        state["pos_embed"] = state["pos_embed"][:, -net.pos_embed.shape[1] :]
    names = {key: key for key in net.state_dict()}
    weights.load(net, names, state, known=set(classifier.state_dict()), source=source)
