"""The dual branch of Route-DETR (https://arxiv.org/abs/2512.13876): in training, the main queries
pass the decoder a second time with routed self-attention.
"""

from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from hdetr_d2.layers import QueryState
from hdetr_d2.projects.route_detr.descriptor import Descriptor
from hdetr_d2.projects.route_detr.router import Router, RouterSizes, Routing
from hdetr_d2.schemes import Context, Contribution, Scheme
from hdetr_d2.schemes.base import check_at_least
from hdetr_d2.structures import Match, QueryGroup
from hdetr_d2.utils.observation import observe_mean


class RoutedBranch(Scheme):
    """A second group with the content, position and references of the main group. Main and routed
    queries do not attend to each other.

    Args:
        sizes: of the routers; each routed layer has its own.
        descriptor: of the queries.
        num_layers: of the decoder.
        last: number of routed layers, counted from the end; None for all.
        strength: factor on the bias, as a function of the training progress.
        weight: of the losses of the branch (the paper's w), likewise.
        name: of the group.

    Raises:
        ValueError: no routed layer, or more than the decoder has.
    """

    def __init__(
        self,
        *,
        sizes: RouterSizes,
        descriptor: Descriptor,
        num_layers: int,
        last: int | None,
        strength: Callable[[float], float],
        weight: Callable[[float], float],
        name: str = "routed",
    ) -> None:
        super().__init__(name)
        last = num_layers if last is None else last
        check_at_least(1, last=last)
        if last > num_layers:
            raise ValueError(f"last={last}, but the decoder has {num_layers} layers.")
        self.descriptor = descriptor
        self.strength = strength
        self.weight = weight
        routed = range(num_layers - last, num_layers)
        self.routers = nn.ModuleDict({str(layer): Router(sizes) for layer in routed})

    def phase(self, progress: float) -> tuple[float, float]:
        return self.strength(progress), self.weight(progress)

    def contribute(self, context: Context) -> Contribution:
        strength, weight = self.phase(context.step.progress)
        _observe(strength=strength, weight=weight, device=context.main.queries.content.device)
        group = QueryGroup(
            name=self.name,
            queries=context.main.queries,
            assigner=Match((1,) * context.num_layers),
            weight=weight,
            attention_bias=partial(self.bias, strength),
        )
        return Contribution([group])

    def bias(
        self, strength: float, layer: int, queries: QueryState, keys: QueryState
    ) -> Tensor | None:
        """The bias for the scores of `layer`; see `AttentionBias`. With a strength of 0 the routers
        stay in the graph, with zero gradients.
        """
        routing = self.route(layer, queries)
        if routing is None:
            return None
        router = self.router(layer)
        observe_mean(f"routing/suppressor_{layer}", router.suppressor.strength)
        observe_mean(f"routing/delegator_{layer}", router.delegator.strength)
        observe_mean(f"routing/suppressed_{layer}", (routing.bias < 0).float().mean())
        return strength * routing.bias

    def router(self, layer: int) -> Router:
        """The router of a routed layer."""
        return cast(Router, self.routers[str(layer)])

    def route(self, layer: int, queries: QueryState) -> Routing | None:
        """The routing of `layer` at full strength, None if it has no router."""
        if str(layer) not in self.routers:
            return None
        # Descriptors span a factor of ten, and a 16-bit gate would be coarse.
        with torch.autocast(queries.content.device.type, enabled=False):
            content, position = queries.content.float(), queries.position.float()
            descriptor = self.descriptor(content, position, queries.reference, queries.logits)
            return self.router(layer)(content, position, descriptor)


def _observe(*, device: torch.device, **values: float) -> None:
    for name, value in values.items():
        observe_mean(f"routing/{name}", torch.full((), value, device=device))
