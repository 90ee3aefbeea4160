"""The plain vision transformer of ViTDet as a backbone."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hdetr_d2.errors import UserError
from hdetr_d2.modeling.backbone.fit import pad
from hdetr_d2.modeling.backbone.patches import PatchBackbone
from hdetr_d2.modeling.backbone.pretrained import expect_checkpoint
from hdetr_d2.modeling.backbone.timm_models import family_of, plain_options

_FAMILY = "vision_transformer_sam"


class ViTDet(PatchBackbone):
    """A ViT with window attention in most blocks and learned relative positions, in the form of
    Detectron2 (https://arxiv.org/abs/2203.16527); its single map is not normalised.

    Args:
        name: a timm model of the same form: one of SAM's.
        positions: rows and columns of the learned absolute positions, which are resampled for each
            map; 14 after pretraining at 224 pixels.
        image_size: side in pixels of the images for which the global blocks have relative
            positions, which are resampled for other sizes.
        pretrained: False for random weights; None if a checkpoint will be loaded, until which the
            model cannot train.
        drop_path_rate: stochastic depth of the last block; it increases linearly up to there.
        checkpointing: recompute activations in the backward pass to save memory.
        options: additional arguments of the timm model.

    Raises:
        UserError: a model of another form.
    """

    def __init__(
        self,
        *,
        name: str,
        positions: int = 14,
        image_size: int = 1024,
        pretrained: Literal[False] | None = None,
        drop_path_rate: float = 0.0,
        checkpointing: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if family_of(name) != _FAMILY:
            raise UserError(
                f"model.backbone.name={name}: only timm's samvit models have this form."
            )
        if pretrained not in (None, False):
            raise UserError(
                f"model.backbone.pretrained={pretrained}: the weights of a ViTDet come with a "
                "checkpoint (null), or are random (false)."
            )
        self.net = timm.create_model(
            name,
            num_classes=0,
            img_size=image_size,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            drop_path_rate=drop_path_rate,
            **plain_options(options or {}),
        )
        self.net.neck = nn.Identity()
        width = self.net.embed_dim
        self.net.pos_embed = nn.Parameter(torch.zeros(1, positions, positions, width))
        nn.init.trunc_normal_(self.net.pos_embed, std=0.02)
        if pretrained is None:
            expect_checkpoint(self)
        (self.patch_size, _) = self.net.patch_embed.patch_size
        self.checkpointing = checkpointing

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """`Tensor[B, 3, H, W]`, padded with zeros to whole patches, to the map
        `Tensor[B, C, H / patch_size, W / patch_size]`.
        """
        x = self.net.patch_embed(pad(x, self.padding_constraints))  # [B, h, w, C]
        x = x + self._positions((x.shape[1], x.shape[2]))
        for block in self.net.blocks:
            if self.checkpointing and self.training:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        (name,) = self.output_shape()
        return {name: x.permute(0, 3, 1, 2)}

    def _positions(self, shape: tuple[int, int]) -> Tensor:
        """The absolute positions resampled for a map, `Tensor[1, H, W, C]`."""
        learned = self.net.pos_embed.permute(0, 3, 1, 2)
        if learned.shape[-2:] != shape:
            learned = F.interpolate(learned, shape, mode="bicubic")
        return learned.permute(0, 2, 3, 1)
