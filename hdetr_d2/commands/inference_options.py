"""Options common to all commands that apply a trained model to images."""

import argparse

from hdetr_d2.inference.trust import HELP as TRUST
from hdetr_d2.runtime import InferenceOptions


def add_inference_options(
    parser: argparse.ArgumentParser, *, score_threshold: float = InferenceOptions.score_threshold
) -> None:
    """Adds the arguments for `InferenceOptions.of`, with the same defaults except for the
    threshold.
    """
    default = InferenceOptions()
    add = parser.add_argument
    add("--score-threshold", type=float, default=score_threshold)
    add("--device", default=default.device, help="auto, cpu, cuda, cuda:1")
    add("--precision", default=default.precision, help="float32, bfloat16, float16 (CUDA)")
    add(
        "--batch-size",
        type=int,
        default=default.batch_size,
        help="images or tiles per forward pass",
    )
    add("--tile", type=int, help="look at large images in tiles of this many pixels")
    add(
        "--overlap",
        type=float,
        default=default.overlap,
        help="overlap of tiles, as a share of a tile",
    )
    add("--trust", action="append", default=[], metavar="PACKAGE", help=TRUST)
