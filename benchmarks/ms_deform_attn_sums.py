#!/usr/bin/env python
"""Count, for samples of an encoder, the sums of the value's gradient that leave a block of the CUDA
backward (csrc/ms_deform_attn_cuda_sorted.cuh). It needs no GPU: nothing is timed.

python benchmarks/ms_deform_attn_sums.py --write
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

from collections.abc import Iterator

import torch
from ms_deform_attn_cases import CASES, CHANNELS, Case, draw_inputs
from ms_deform_attn_peers import Shapes
from report import describe_run, parse_run, publish, run_parser, table
from torch import Tensor

BLOCKS = (32, 64)  # queries per block; the kernel has 32
SAMPLES = 8  # samples per query that a block sorts at a time
BAND = 8  # rows
SECTOR = 32  # bytes


def order_of_queries(shapes: Shapes) -> Tensor:
    """`Tensor[S]`: the cells in the kernel's order: bands of rows, column by column."""
    order, start = [], 0
    for height, width in shapes:
        cells = torch.arange(start, start + height * width).view(height, width)
        order += [band.mT.flatten() for band in cells.split(BAND)]
        start += height * width
    return torch.cat(order)


def cells_of_corners(locations: Tensor, shapes: Shapes) -> Tensor:
    """`Tensor[B, Q, M, L * P * 4]`: the cells around the samples, -1 beyond the border."""
    sizes = locations.new_tensor([(w, h) for h, w in shapes])[:, None]  # [L, 1, 2]
    areas = torch.tensor([0, *(h * w for h, w in shapes)][:-1])
    starts = areas.cumsum(0).to(locations.device)[:, None, None]
    steps = locations.new_tensor([(0, 0), (1, 0), (0, 1), (1, 1)])
    cells = (locations * sizes - 0.5).floor().unsqueeze(-2) + steps  # [B, Q, M, L, P, 4, 2]
    inside = ((cells >= 0) & (cells < sizes.unsqueeze(-2))).all(-1)
    index = starts + (cells[..., 1] * sizes[..., :1] + cells[..., 0]).long()
    return index.where(inside, -1).flatten(3)


def sums_of_blocks(cells: Tensor, order: Tensor, queries: int) -> int:
    """The number of sums that leave blocks of queries in `order`, from `cells_of_corners`.

    A block sorts the terms of a round, and its teams, one per query, sum equal parts of them: one
    sum per cell, plus one wherever a part ends within a cell.
    """
    per_round = 4 * SAMPLES
    total = 0
    for image in cells:
        for block in image[order.to(image.device)].split(queries):
            for found in block.movedim(1, 0).split(per_round, -1):  # [M, queries, terms]
                total += _sums_of_round(found.flatten(1).sort(-1).values, queries)
    return total


def _sums_of_round(cells: Tensor, teams: int) -> int:
    """`cells` `Tensor[M, N]`: those of each head's block, in order."""
    exist = cells >= 0
    number = exist.sum(-1, keepdim=True)
    place = torch.arange(cells.shape[-1], device=cells.device) - (cells.shape[-1] - number)
    part = -(-number // teams) | 1
    starts = cells != cells.roll(1, -1)
    starts[:, 0] = True
    return int(((starts | (place % part == 0)) & exist).sum())


def rows_of(name: str, case: Case, device: str) -> Iterator[list[str]]:
    inputs = draw_inputs(case, dtype=torch.float32, batch=1, device=device)
    cells = cells_of_corners(inputs.sampling_locations.detach(), case.shapes)
    order = order_of_queries(case.shapes)
    terms = int((cells >= 0).sum())
    for queries in BLOCKS:
        sums = sums_of_blocks(cells, order, queries)
        sectors = [f"{each * CHANNELS * 4 / SECTOR / 1e6:.2f}" for each in (terms, sums)]
        yield [name, str(queries), *sectors, f"{terms / max(sums, 1):.2f}"]


def main(arguments: list[str] | None = None) -> None:
    """Counts for the encoder cases, prints the table, and writes it if requested."""
    options = parse_run(run_parser(__doc__), arguments)
    torch.set_num_threads(options.threads)
    cases = {name: case for name, case in CASES.items() if case.queries is None}
    header = ["case", "queries of a block", "unsorted, million sectors", "sorted", "ratio"]
    rows = [
        row
        for name, case in cases.items()
        for row in rows_of(name, case.shrunk() if options.smoke else case, options.device)
    ]
    lines = [
        *describe_run(options.device),
        "inputs: batch 1, 8 heads, 4 points, 32 channels a head, float32; counted, not measured",
    ]
    publish("ms_deform_attn_sums", lines, [table(header, rows)], options)


if __name__ == "__main__":
    main()
