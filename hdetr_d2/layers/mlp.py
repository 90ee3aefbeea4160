"""The multilayer perceptron used by box heads."""

from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from hdetr_d2.layers.linear import Linear


class MLP(nn.Sequential):
    """`num_layers` linear layers with ReLUs in between: `Tensor[..., in_dim]` to
    `Tensor[..., out_dim]`.
    """

    def __init__(self, in_dim: int, hidden_dim: int, out_dim: int, num_layers: int) -> None:
        dims = [in_dim] + [hidden_dim] * (num_layers - 1) + [out_dim]
        layers: list[nn.Module] = []
        for start, end in pairwise(dims):
            layers += [Linear(start, end), nn.ReLU()]
        super().__init__(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = (layer for layer in self if isinstance(layer, Linear))
        for layer in hidden:
            x = layer(x, relu=True)
        return last(x)

    @property
    def last(self) -> Linear:
        """The output layer."""
        return cast(Linear, self[-1])
