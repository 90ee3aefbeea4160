"""Time a trained model in any of its forms: checkpoints, and files written by hdetr-d2 export.

hdetr-d2 benchmark model_final.pth model_final.onnx model_final_openvino --size 480 640
"""

import argparse
from collections.abc import Sequence

from hdetr_d2.errors import UserError
from hdetr_d2.runtime.timing import Setting, Timing, time_files


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("models", nargs="+", help="checkpoints and exported files")
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        default=(480, 640),
        help="size of an image in pixels",
    )
    parser.add_argument("--batch", type=int, default=1, help="images per batch")
    parser.add_argument(
        "--rounds", type=int, default=20, help="rounds for each model, taken in turns"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    parser.add_argument(
        "--precision", default="float32", help="precision of checkpoints: float32, bfloat16"
    )
    parser.add_argument("--threads", type=int, help="threads for each model (default: all cores)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(arguments)
    if min(args.batch, args.rounds, *args.size) < 1:
        parser.error("--size, --batch and --rounds must be at least 1")
    try:
        setting = Setting(tuple(args.size), args.batch, args.device, args.threads, args.precision)
        timings = time_files(args.models, setting, args.rounds)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    print(table(timings))
    return 0


def table(timings: Sequence[Timing]) -> str:
    width = max(5, *(len(timing.model) for timing in timings))
    head = f"{'model':{width}}  median ms  p90 ms  p99 ms  images/s  memory MB"
    lines = [
        f"{t.model:{width}}  {t.percentile(50):9.1f}  {t.percentile(90):6.1f}  "
        f"{t.percentile(99):6.1f}  {t.images_per_second:8.2f}  {t.memory:9.0f}"
        for t in timings
    ]
    return "\n".join([head, *lines])
