"""The queries on their way through the decoder layers, where groups can enter later."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hdetr_d2.layers import Entry, Span


class Course:
    """Which groups pass a layer, and with which inputs.

    spans: of the groups that have entered.

    Args:
        spans: of all groups, in the order in which they enter.
    """

    def __init__(self, spans: Sequence[Span]) -> None:
        self.spans = [span for span in spans if span.entry is None]
        self._waiting = [(span.entry, span) for span in spans if span.entry is not None]
        self._past: list[tuple[Sequence[Tensor | None], list[int]]] = []

    def present(self, row: Tensor | None) -> Tensor | None:
        """Restricts `Tensor[B, Q, N]` for all groups to those that have entered."""
        return row[:, : sum(self._lengths())] if self._waiting and row is not None else row

    def enter(self, layer: int, *rows: Tensor | None) -> Sequence[Any]:
        """The `rows`, `Tensor[B, Q, N]` each, as input of `layer`: queries of groups that enter
        there are appended. None is a row without values yet.
        """
        if not self._waiting:
            return rows
        self._past.append((rows, self._lengths()))
        while self._waiting and self._waiting[0][0].layer == layer:
            entry, span = self._waiting.pop(0)
            before, lengths = self._past[entry.passed]
            pairs = zip(rows, before, strict=True)
            rows = tuple(_join(row, past, lengths, entry) for row, past in pairs)
            # A new list, because recomputation refers to the old one
            self.spans = [*self.spans, span]
        return rows

    def _lengths(self) -> list[int]:
        return [span.blocks * span.size for span in self.spans]


def _join(
    row: Tensor | None, past: Tensor | None, lengths: Sequence[int], entry: Entry
) -> Tensor | None:
    """A row extended by what `entry` takes from an earlier row, which has parts of these
    lengths.
    """
    if row is None:
        return None
    if past is None:  # zeros stand for values that did not exist
        new = [row.new_zeros(len(row), lengths[place], row.shape[2]) for place in entry.of]
    else:
        parts = past.split([*lengths], 1)
        new = [parts[place] for place in entry.of]
    return torch.cat([row, *new], 1)
