"""Runs the taps of a decoder."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hdetr_d2.modeling.heads import PredictionHeads
from hdetr_d2.modeling.transformer.coder_layers import run_layer
from hdetr_d2.structures import Predictions, Tap


class Taps:
    """Runs the layers of a decoder, and records what the taps need.

    Args:
        taps: of the step; without any, layers run normally.
        queries: number of main queries, which come first.
    """

    def __init__(self, taps: Sequence[Tap], queries: int) -> None:
        self.taps = taps
        self.queries = queries
        self._read: list[list[tuple[Tensor, Tensor, Tensor]]] = [[] for _ in taps]

    def run(
        self, index: int, layer: nn.Module, *inputs: Any, checkpointing: bool
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """The output of a layer, `Tensor[B, Q, C]`, and the states of each tap in it; `inputs` are
        the layer's. With `checkpointing`, branches are recomputed together with the layer.
        """
        if not self.taps:
            return run_layer(layer, *inputs, checkpointing=checkpointing), ()

        def branch_off(found: Tensor) -> list[Tensor]:
            main = found[:, : self.queries]
            return [tap.branch(index, layer, main) if tap.branch else main for tap in self.taps]

        x, *states = run_layer(layer, *inputs, checkpointing=checkpointing, branch_off=branch_off)
        return x, states

    def read(
        self,
        index: int,
        states: Sequence[Tensor],
        heads: PredictionHeads,
        place: Callable[[Tensor, Tap], Tensor],
    ) -> None:
        """Records the heads' outputs for a layer.

        Args:
            states: of each tap, normalised like those of the layer.
            heads: of the decoder.
            place: maps deltas `Tensor[B, Q, 4]` of the main queries to boxes.
        """
        for tap, state, read in zip(self.taps, states, self._read, strict=True):
            class_logits = tap.own.get("class_logits", heads.class_logits)
            box_deltas = tap.own.get("box_deltas", heads.box_deltas)
            boxes = place(box_deltas(index, state), tap)
            read.append((class_logits(index, state), boxes, state))

    def predictions(self) -> list[Predictions]:
        """The predictions of each tap, once all layers have run."""
        found = []
        for read in self._read:
            logits, boxes, states = zip(*read, strict=True)
            found.append(Predictions(torch.stack(logits), torch.stack(boxes), states[-1]))
        return found
