"""Records the routers of a trained model on an image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hdetr_d2.errors import UserError
from hdetr_d2.layers import QueryState
from hdetr_d2.modeling import DETR
from hdetr_d2.projects.route_detr.router import Routing
from hdetr_d2.projects.route_detr.scheme import RoutedBranch
from hdetr_d2.structures import Match, QueryGroup


@dataclass(frozen=True)
class Recording:
    """For the queries of one image, most confident first. routings: by layer, without a batch
    dimension. boxes: `Tensor[N, 4]` cxcywh in [0, 1], of the last layer. scores: `Tensor[N]`.
    """

    routings: dict[int, Routing]
    boxes: Tensor
    scores: Tensor

    def top(self, number: int) -> "Recording":
        """Restricted to this many queries."""
        routings = {
            layer: Routing(*(matrix[:number, :number] for matrix in routing))
            for layer, routing in self.routings.items()
        }
        return Recording(routings, self.boxes[:number], self.scores[:number])


def routed_branch(model: DETR) -> RoutedBranch:
    """Raises UserError if the model was trained without one."""
    for scheme in model.schemes:
        if isinstance(scheme, RoutedBranch):
            return scheme
    raise UserError("the model has no routed branch: its config lists no RoutedBranch")


class Recorder:
    """The bias of a routed branch, which records the routings it is computed from, by layer."""

    def __init__(self, scheme: RoutedBranch, strength: float) -> None:
        self.scheme = scheme
        self.strength = strength
        self.routings: dict[int, Routing] = {}

    def __call__(self, layer: int, queries: QueryState, keys: QueryState) -> Tensor | None:
        routing = self.scheme.route(layer, queries)
        if routing is None:
            return None
        self.routings[layer] = routing
        return self.strength * routing.bias


@torch.no_grad()
def record(model: DETR, image: Tensor, strength: float) -> Recording:
    """Passes the main queries of an image through the decoder like the routed branch.

    Args:
        model: in evaluation mode, with the weights of its routers.
        image: `Tensor[3, H, W]` RGB, 0 to 255.
        strength: factor on the bias.

    Raises:
        UserError: the model has no routed branch.
    """
    recorder = Recorder(routed_branch(model), strength)
    maps = model.encode([image])
    memory = maps.memory
    queries = model.query_selection(memory).main
    match = Match((1,) * model.decoder.num_layers)
    group = QueryGroup(name="", queries=queries, assigner=match, attention_bias=recorder)
    (found,) = model.decoder([group], memory)
    scores = model.scores(found)[0].amax(-1)
    return _sorted(recorder.routings, found.boxes[-1, 0], scores)


def _sorted(routings: dict[int, Routing], boxes: Tensor, scores: Tensor) -> Recording:
    order = scores.argsort(descending=True)
    by_score = {
        layer: Routing(*(matrix[0][order][:, order].cpu() for matrix in routing))
        for layer, routing in routings.items()
    }
    return Recording(by_score, boxes[order].cpu(), scores[order].cpu())
