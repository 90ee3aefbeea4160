"""The multilayer perceptron of the box heads."""

from typing import cast

from torch import nn


class MLP(nn.Sequential):
    """`num_layers` linear layers with ReLU between them: `Tensor[..., in_dim]` to
    `Tensor[..., out_dim]`.
    """

    def __init__(self, in_dim: int, hidden_dim: int, out_dim: int, num_layers: int) -> None:
        dims = [in_dim] + [hidden_dim] * (num_layers - 1) + [out_dim]
        layers: list[nn.Module] = []
        for start, end in zip(dims[:-1], dims[1:], strict=True):
            layers += [nn.Linear(start, end), nn.ReLU()]
        super().__init__(*layers[:-1])

    @property
    def last(self) -> nn.Linear:
        """The layer that gives the output."""
        return cast(nn.Linear, self[-1])
