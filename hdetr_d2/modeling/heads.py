"""The prediction heads of the decoder layers and of the encoder proposals."""

import torch
from torch import Tensor, nn

from hdetr_d2.errors import UserError
from hdetr_d2.layers import MLP, Linear
from hdetr_d2.losses import ClassLoss


class PredictionHeads(nn.Module):
    """A class head and a box head for every layer. All layers start with equal ones, as in the
    published codes of Deformable-DETR: a layer then begins with what the one before it reads from
    the states.

    Args:
        dim: channels C of the states.
        num_classes: foreground classes.
        num_layers: layers L that are scored.
        class_loss: says how many logits a class head has and where it starts.
        shared: one pair of heads for all layers (DETR, and Deformable-DETR without box refinement),
            else one pair each.
        at_reference: whether the last layers of box heads start at zero, so that the first boxes
            are those of the references; without references all boxes would be one.
        size_bias: first bias of width and height on the first box head; -2 makes boxes start at a
            tenth of the image where the reference has no size.
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
        if not num_classes:  # a config that no data set has completed
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
        """Begin with the weights of the first heads of `other`, where they have the same form."""
        for head in self.class_heads:
            _copy(other.class_heads[0], head)
        for head in self.box_heads:
            _copy(other.box_heads[0], head)

    def forward(self, layer: int, states: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `Tensor[B, Q, K]` and box deltas `Tensor[B, Q, 4]` (before the sigmoid) of
        `Tensor[B, Q, C]`, in the dtype of the weights also under autocast.
        """
        return self.class_logits(layer, states), self.box_deltas(layer, states)

    def class_logits(self, layer: int, states: Tensor) -> Tensor:
        """The logits alone."""
        return self.read(self.class_heads, layer, states)

    def box_deltas(self, layer: int, states: Tensor) -> Tensor:
        """The box deltas alone."""
        return self.read(self.box_heads, layer, states)

    def read(self, heads: nn.ModuleList, layer: int, states: Tensor) -> Tensor:
        """What the head of a layer makes of the states, `Tensor[B, Q, N]`."""
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
