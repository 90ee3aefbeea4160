#!/usr/bin/env python
"""Build, test and time this project on a machine with a GPU, offline and in nine minutes at most.

tools/gpu_hour.sh                                 # tests and benchmarks
tools/gpu_hour.sh --original ../Deformable-DETR   # beside the original kernels
tools/gpu_hour.sh --sanitize                      # small calls under compute-sanitizer
tools/gpu_hour.sh --dry                           # what can be tried without a GPU
"""

import argparse
import math
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from gpu_parts import ROOT
from gpu_plan import Request, emulated, sanitizers, whole_run
from gpu_stages import Done, rehearse, run_stages
from gpu_summary import is_success, summary

# Nine minutes, minus the time for start and end.
SECONDS = 515.0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--sanitize", action="store_true", help="compute-sanitizer instead")
    parser.add_argument("--dry", action="store_true", help="a rehearsal without a GPU")
    parser.add_argument("--built", action="store_true", help="with the kernels that are there")
    parser.add_argument("--only", default="", metavar="WORD", help="parts with this in their name")
    parser.add_argument(
        "--original", type=Path, metavar="FOLDER", help="a checkout of Deformable-DETR: a peer"
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "output" / "gpu", metavar="FOLDER", help="for logs"
    )
    options = parser.parse_args(arguments)
    if not options.dry and not torch.cuda.is_available():
        parser.error("PyTorch sees no CUDA device here; --dry tries what can be tried without.")
    return options


def requested(options: argparse.Namespace) -> Request:
    capability = "9.0" if options.dry else "{}.{}".format(*torch.cuda.get_device_capability())
    page = options.output / "RESULTS.md" if options.dry else ROOT / "benchmarks" / "RESULTS.md"
    return Request(capability, options.built, options.original, page, options.output)


def check(options: argparse.Namespace) -> list[Done]:
    request = requested(options)
    plan = sanitizers(request) if options.sanitize else whole_run(request)
    stages = [[part for part in stage if options.only in part.name] for stage in plan]
    if not options.dry:
        done = run_stages(stages, options.output, time.monotonic() + SECONDS)
        shutil.copy(request.page, options.output)  # a borrowed machine keeps its clone
        return done
    kernels = [part for part in [emulated()] if options.only in part.name]
    tried = run_stages([kernels], options.output, math.inf)
    return [*tried, *rehearse(stages, options.output, SECONDS)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is requested and prints the tables; returns the exit status."""
    options = parse(arguments)
    options.output = options.output.resolve()
    options.output.mkdir(parents=True, exist_ok=True)
    done = check(options)
    text = summary(done)
    (options.output / "summary.md").write_text(f"{text}\n", encoding="utf-8")
    print(text)
    return 0 if is_success(done) else 1


if __name__ == "__main__":
    sys.exit(main())
