"""The prediction heads of the decoder layers and of the encoder proposals."""

import torch
from torch import Tensor, nn

from hdetr_d2.errors import UserError
from hdetr_d2.layers import MLP, Linear
from hdetr_d2.losses import ClassLoss


class PredictionHeads(nn.Module):
    """A class head and a box head for every layer. The heads of all layers are initialised equally,
    as in the published Deformable-DETR: each layer then starts with the predictions of the previous
    one.

    Args:
        dim: channels C of the states.
        num_classes: foreground classes.
        num_layers: layers L that are scored.
        class_loss: determines the number of logits and the initial bias.
        shared: one pair of heads for all layers (DETR, and Deformable-DETR without box refinement);
            otherwise one pair per layer.
        at_reference: initialise the last layers of box heads to zero, so that the first boxes are
            the references. Without references all boxes would be equal.
        size_bias: initial bias of width and height of the first box head; -2 makes boxes start at
            about a tenth of the image if the references have no size.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_classes: int,
        num_layers: int,
        class_loss: ClassLoss,
        shared: bool = False,
        at_reference: bool = True,
        size_bias: float = 0.0,
    ) -> None:
        super().__init__()
        if not num_classes:  # a config that no data set has completed yet
            raise UserError(
                f"model.num_classes={num_classes}: set it, or data.num_classes to which it points."
            )
        pairs = 1 if shared else num_layers
        self.class_loss = class_loss
        outputs = class_loss.num_outputs(num_classes)
        class_heads = [Linear(dim, outputs) for _ in range(pairs)]
        box_heads = [MLP(dim, dim, 4, 3) for _ in range(pairs)]
        class_loss.init_bias(class_heads[0].bias)
        if at_reference:
            nn.init.zeros_(box_heads[0].last.weight)
            nn.init.zeros_(box_heads[0].last.bias)
        self.class_heads = nn.ModuleList(class_heads)
        self.box_heads = nn.ModuleList(box_heads)
        self.start_as(self)
        if at_reference:
            with torch.no_grad():
                box_heads[0].last.bias[2:] = size_bias

    def start_as(self, other: "PredictionHeads") -> None:
        """Copies the weights of the first heads of `other`, where the shapes agree."""
        for head in self.class_heads:
            _copy(other.class_heads[0], head)
        for head in self.box_heads:
            _copy(other.box_heads[0], head)

    def forward(self, layer: int, states: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `Tensor[B, Q, K]` and box deltas `Tensor[B, Q, 4]` (before the sigmoid) from
        states `Tensor[B, Q, C]`, in the dtype of the weights, also under autocast.
        """
        return self.class_logits(layer, states), self.box_deltas(layer, states)

    def class_logits(self, layer: int, states: Tensor) -> Tensor:
        """Only the logits."""
        return self.read(self.class_heads, layer, states)

    def box_deltas(self, layer: int, states: Tensor) -> Tensor:
        """Only the box deltas."""
        return self.read(self.box_heads, layer, states)

    def read(self, heads: nn.ModuleList, layer: int, states: Tensor) -> Tensor:
        """Applies the head of a layer to the states: `Tensor[B, Q, N]`."""
        # 16 bits would round boxes by whole pixels, and make many scores equal.
        with torch.autocast(states.device.type, enabled=False):
            states = states.to(next(self.parameters()).dtype)
            return heads[min(layer, len(heads) - 1)](states)


@torch.no_grad()
def _copy(source: nn.Module, target: nn.Module) -> None:
    """The parameters that have the same shape in both."""
    for own, other in zip(target.parameters(), source.parameters(), strict=True):
        if own.shape == other.shape:
            own.copy_(other)
