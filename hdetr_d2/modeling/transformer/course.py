"""The row of queries on its way through the decoder layers, where groups come in."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hdetr_d2.layers import Entry, Span


class Course:
    """Which groups go through a layer, and with what.

    spans: those in the row by now.

    Args:
        spans: of all groups, in the order in which they come in.
    """

    def __init__(self, spans: Sequence[Span]) -> None:
        self.spans = [span for span in spans if span.entry is None]
        self._waiting = [(span.entry, span) for span in spans if span.entry is not None]
        self._past: list[tuple[Sequence[Tensor | None], list[int]]] = []

    def present(self, row: Tensor | None) -> Tensor | None:
        """Of a row of all groups, `Tensor[B, Q, N]`, those that are there by now."""
        return row[:, : sum(self._lengths())] if self._waiting and row is not None else row

    def enter(self, layer: int, *rows: Tensor | None) -> Sequence[Any]:
        """The `rows`, `Tensor[B, Q, N]` each, as they go into `layer`: with the queries of groups
        that come in there, behind the others. None is a row that says nothing yet.
        """
        if not self._waiting:
            return rows
        self._past.append((rows, self._lengths()))
        while self._waiting and self._waiting[0][0].layer == layer:
            entry, span = self._waiting.pop(0)
            before, lengths = self._past[entry.passed]
            pairs = zip(rows, before, strict=True)
            rows = tuple(_join(row, past, lengths, entry) for row, past in pairs)
            self.spans = [*self.spans, span]  # a new list: what is recomputed later has the old one
        return rows

    def _lengths(self) -> list[int]:
        return [span.blocks * span.size for span in self.spans]


def _join(
    row: Tensor | None, past: Tensor | None, lengths: Sequence[int], entry: Entry
) -> Tensor | None:
    """The row, and what `entry` takes of the past one with parts of these lengths."""
    if row is None:
        return None
    if past is None:  # nothing had been said of them: zeros stand for that
        new = [row.new_zeros(len(row), lengths[place], row.shape[2]) for place in entry.of]
    else:
        parts = past.split([*lengths], 1)
        new = [parts[place] for place in entry.of]
    return torch.cat([row, *new], 1)
