#!/usr/bin/env python
"""Time dropout, forward and backward, and dense attention that drops its weights.

python benchmarks/dropout.py --write
python benchmarks/dropout.py --dtype bfloat16
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from report import (
    VERSUS_COLUMNS,
    describe_run,
    parse_run,
    publish,
    run_parser,
    table,
    time_sides,
    versus,
)
from timing import Side, learn
from torch import Tensor

from hdetr_d2.layers.attention import attend
from hdetr_d2.ops import dropout

OURS, PYTORCH = "ours", "PyTorch's"
P = 0.1
# An encoder's tokens and hidden activations for an image of 480x640; queries of a decoder.
SHAPES: Mapping[str, tuple[int, ...]] = {"tokens": (1, 6400, 256), "hidden": (1, 6400, 1024)}
QUERIES, HEADS, CHANNELS = 300, 8, 32


def fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    parts = (each.transpose(1, 2) for each in (query, key, value))
    return F.scaled_dot_product_attention(*parts, dropout_p=P).transpose(1, 2)


def cases(options: argparse.Namespace) -> dict[str, Mapping[str, Side]]:
    made = dict(dtype=getattr(torch, options.dtype), device=options.device)
    found: dict[str, Mapping[str, Side]] = {}
    for name, (batch, tokens, width) in SHAPES.items():
        x = torch.randn(batch, 8 if options.smoke else tokens, width, **made)
        found[name] = {
            OURS: learn(lambda x: dropout(x, P), x),
            PYTORCH: learn(lambda x: F.dropout(x, P), x),
        }
    queries = 8 if options.smoke else QUERIES
    qkv = torch.randn(3, 1, queries, HEADS, CHANNELS, **made).unbind()
    found["attention"] = {
        OURS: learn(lambda q, k, v: attend(q, k, v, None, P), *qkv),
        PYTORCH: learn(fused, *qkv),
    }
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases, prints the table, and writes it if requested."""
    parser = run_parser(__doc__)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    options = parse_run(parser, arguments)
    torch.set_num_threads(options.threads)
    rows = []
    for name, sides in cases(options).items():
        times = time_sides(sides, options)
        rows += [[name, *row] for row in versus(times, OURS, lambda peer: "")]
    lines = [*describe_run(options.device), f"inputs: {options.dtype}, p = {P}"]
    publish("dropout", lines, [table(["case", *VERSUS_COLUMNS], rows)], options)


if __name__ == "__main__":
    main()
