#!/usr/bin/env python
"""Time multi-scale deformable attention against the ways other projects compute it.

python benchmarks/ms_deform_attn.py --write
python benchmarks/ms_deform_attn.py --device cuda --dtype bfloat16 --batch 2 --deterministic
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from bandwidth import device_limits
from ms_deform_attn_cases import (
    BACKWARD,
    BOTH,
    CASES,
    CHANNELS,
    FORWARD,
    HEADS,
    POINTS,
    Case,
    Inputs,
    Traffic,
    draw_inputs,
    traffic,
)
from ms_deform_attn_peers import DEFORMABLE_DETR, Attention, discover
from report import (
    VERSUS_COLUMNS,
    bullets,
    describe_run,
    parse_run,
    publish,
    run_parser,
    table,
    time_sides,
    versus,
)
from timing import Side, Times, peak_bytes
from torch import Tensor

from hdetr_d2.ops import ms_deform_attn
from hdetr_d2.ops.extension import why_no_kernel

OURS, DETERMINISTIC = "ours", "ours, deterministic"


def forward(attention: Attention, inputs: Inputs) -> Callable[[], Tensor]:
    return torch.no_grad()(lambda: inputs.output(attention))


def backward(attention: Attention, inputs: Inputs) -> Side:
    out = inputs.output(attention)
    leaves, gradient = inputs.leaves(), inputs.grad_output
    return lambda: torch.autograd.grad(out, leaves, gradient, retain_graph=True)


def forward_and_backward(attention: Attention, inputs: Inputs) -> Side:
    leaves, gradient = inputs.leaves(), inputs.grad_output
    return lambda: torch.autograd.grad(inputs.output(attention), leaves, gradient)


Pass = Callable[[Attention, Inputs], Side]
ON_CPU: dict[str, Pass] = {FORWARD: forward, BOTH: forward_and_backward}
ON_CUDA: dict[str, Pass] = {FORWARD: forward, BACKWARD: backward, BOTH: forward_and_backward}


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def working_peers(
    peers: Mapping[str, Attention], inputs: Inputs
) -> tuple[dict[str, Attention], list[str]]:
    """The peers that accept these inputs, and a line about each that fails or differs from us."""
    tolerance = 1e-4 if inputs.value.element_size() >= 4 else 2e-2
    ours = forward(ms_deform_attn, inputs)().double()
    working, notes = {}, []
    for name, attention in peers.items():
        try:
            theirs = forward(attention, inputs)().double()
            forward_and_backward(attention, inputs)()
        except Exception as error:  # other projects' kernels fail in ways of their own
            reason = (str(error) or repr(error)).splitlines()[0]
            notes.append(f"{name}: cannot run this ({reason})")
            continue
        working[name] = attention
        difference = float((theirs - ours).norm() / ours.norm())
        if not difference <= tolerance:
            notes.append(f"{name}: its output differs from ours by {difference:.1e} (norms)")
    return working, notes


@dataclass(frozen=True)
class Measurement:
    """One pass of one case: the times of all sides, and on CUDA the memory of each."""

    case: str
    what: str
    times: dict[str, Times]
    peaks: dict[str, int]
    traffic: Traffic


def measure(
    name: str, inputs: Inputs, peers: Mapping[str, Attention], options: argparse.Namespace
) -> Iterator[Measurement]:
    """Every pass of a case."""
    on_cuda = options.device == "cuda"
    for what, build in (ON_CUDA if on_cuda else ON_CPU).items():
        sides = {OURS: build(ms_deform_attn, inputs)}
        if options.deterministic and what != FORWARD:
            with deterministic_algorithms():
                side = build(ms_deform_attn, inputs)
            sides[DETERMINISTIC] = deterministic_algorithms()(side)
        sides |= {peer: build(attention, inputs) for peer, attention in peers.items()}
        times = time_sides(sides, options)
        peaks = {side: peak_bytes(run) for side, run in sides.items()} if on_cuda else {}
        yield Measurement(name, what, times, peaks, traffic(inputs)[what])


def required(case: Case, what: str, peer: str, options: argparse.Namespace) -> str:
    """The required ratio of a peer's time to ours; empty if there is none."""
    if peer == DETERMINISTIC:
        return "at most 4"
    if options.device == "cpu":
        ratios = case.required if options.dtype == "float32" else {}
    else:
        ratios = (
            {FORWARD: 1.5, BACKWARD: 2} if peer == DEFORMABLE_DETR else dict.fromkeys(ON_CUDA, 1)
        )
    return f"at least {ratios[what]:g}" if what in ratios else ""


def ratio_table(measurements: list[Measurement], options: argparse.Namespace) -> str:
    rows = [
        [each.case, each.what, *row]
        for each in measurements
        for row in versus(
            each.times, OURS, partial(required, CASES[each.case], each.what, options=options)
        )
    ]
    return table(["case", "pass", *VERSUS_COLUMNS], rows)


def bandwidth_table(measurements: list[Measurement]) -> str:
    """One row per side: the bytes of `traffic` divided by its warm time, and its memory."""
    limits, rows = device_limits(), []
    for each in measurements:
        for side, times in each.times.items():
            l2, dram = each.traffic.l2 / times.warm, each.traffic.dram / times.warm
            rates = [f"{l2 / 1e12:.2f}", f"{l2 / limits.l2:.0%}"]
            rates += [f"{dram / 1e12:.2f}", f"{dram / limits.dram:.0%}"]
            rows.append([each.case, each.what, side, *rates, f"{each.peaks[side] / 2**20:.1f}"])
    header = ["case", "pass", "side", "L2, TB/s", "of limit"]
    header += ["memory, TB/s", "of limit", "peak, MiB"]
    return f"{table(header, rows)}\n\n{limits}"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(__doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    dtypes = ("float32", "float64", "bfloat16", "float16")
    parser.add_argument("--dtype", choices=dtypes, default="float32", help="of the value (float32)")
    parser.add_argument("--batch", type=int, default=1, help="images (1)")
    parser.add_argument(
        "--deterministic", action="store_true", help="time the deterministic backward, too"
    )
    return parse_run(parser, arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases, prints the tables, and writes them if requested."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    peers, absent = discover(options.device)
    missing = why_no_kernel("ms_deform_attn", torch.device(options.device))
    lines = [
        *describe_run(options.device),
        f"inputs: {options.dtype}, batch {options.batch}, {HEADS} heads, {POINTS} points, "
        f"{CHANNELS} channels a head",
        f"ours: {f'the PyTorch twin. {missing}' if missing else 'the compiled op'}",
        *absent,
    ]

    measurements, troubles = [], []
    for name in options.cases:
        case = CASES[name].shrunk() if options.smoke else CASES[name]
        dtype = getattr(torch, options.dtype)
        inputs = draw_inputs(case, dtype=dtype, batch=options.batch, device=options.device)
        working, notes = working_peers(peers, inputs)
        troubles += [f"{name}, {note}" for note in notes]
        for measurement in measure(name, inputs, working, options):
            measurements.append(measurement)
            print(f"measured: {name}, {measurement.what}", file=sys.stderr, flush=True)

    results = [ratio_table(measurements, options)]
    if options.device == "cuda":
        results.append(bandwidth_table(measurements))
    if troubles:
        results.append(bullets(troubles))
    publish("ms_deform_attn", lines, results, options)


if __name__ == "__main__":
    main()
