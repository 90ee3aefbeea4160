"""Mask losses (DETR, https://arxiv.org/abs/2005.12872, section 4.4)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hdetr_d2.ops import sigmoid_focal_loss
from hdetr_d2.structures import BACKGROUND, NO_LOSS


class MaskLoss(nn.Module):
    """Focal and dice losses of masks.

    Args:
        weights: of the losses "mask" (focal, averaged over the pixels of a mask) and "dice".
        alpha: weight of foreground pixels; the others have 1 - alpha.
        gamma: how fast the weight of easy pixels decreases.

    Raises:
        ValueError: unknown names of weights.
    """

    def __init__(
        self, *, weights: Mapping[str, float], alpha: float = 0.25, gamma: float = 2.0
    ) -> None:
        super().__init__()
        if set(weights) != {"mask", "dice"}:
            raise ValueError(
                f"mask_head.loss.weights must name ['dice', 'mask'], not {sorted(weights)}."
            )
        self.weights = dict(weights)
        self.alpha = alpha
        self.gamma = gamma

    def forward(self, logits: Tensor, masks: Tensor, learned: Tensor) -> dict[str, Tensor]:
        """The weighted losses `loss_mask` and `loss_dice`, summed over masks: 0-d each.

        Args:
            logits: `Tensor[B, G, H, W]`, from the query of each target.
            masks: `Tensor[B, G, H, W]` bool.
            learned: `Tensor[B, G]` bool, the masks that count.
        """
        sums = {
            "mask": self.loss_mask(logits, masks, learned),
            "dice": self.loss_dice(logits, masks, learned),
        }
        return {f"loss_{kind}": value * self.weights[kind] for kind, value in sums.items()}

    def loss_mask(self, logits: Tensor, masks: Tensor, learned: Tensor) -> Tensor:
        """The focal loss, summed; to the kernels, each mask is a layer whose queries are pixels
        with one class.
        """
        # In place: a label takes eight times the memory of a mask's pixel.
        labels = masks.flatten(2).long().add_(BACKGROUND)  # 0 inside the mask; [B, G, H * W]
        labels.masked_fill_(~learned[..., None], NO_LOSS)
        pixels = logits.flatten(2).flatten(0, 1)[:, None, :, None]
        sums = sigmoid_focal_loss(pixels, labels.flatten(0, 1)[:, None], self.alpha, self.gamma)
        return sums.sum() / labels.shape[-1]

    def loss_dice(self, logits: Tensor, masks: Tensor, learned: Tensor) -> Tensor:
        """1 - Dice coefficient (https://arxiv.org/abs/1606.04797), with 1 added to numerator and
        denominator, summed.
        """
        probabilities = logits.float().sigmoid()
        shared = torch.where(masks, probabilities, 0.0).sum((2, 3))
        areas = probabilities.sum((2, 3)) + masks.sum((2, 3))
        losses = 1 - (2 * shared + 1) / (areas + 1)
        return torch.where(learned, losses, 0.0).sum()
