"""What a decoder is given for images with one object each."""

from typing import Any

from hdetr_d2.modeling import DETR
from hdetr_d2.structures import Match, Memory, QueryGroup


def memory_of(model: DETR, make_batch: Any, counts: tuple[int, ...] = (1, 1)) -> Memory:
    """That of a batch with so many objects in each image."""
    return model.encode([item["image"] for item in make_batch([*counts])]).memory


def inputs(model: DETR, make_batch: Any) -> tuple[QueryGroup, Memory]:
    """The main group and the memory of a batch."""
    memory = memory_of(model, make_batch)
    queries = model.query_selection(memory).main
    match = Match((1,) * model.decoder.num_layers)
    return QueryGroup(name="", queries=queries, assigner=match), memory
