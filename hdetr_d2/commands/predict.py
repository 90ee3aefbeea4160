"""Find objects in images with a trained model: a COCO json and pictures with boxes.

hdetr-d2 predict output/quickstart/model_final.pth photo.jpg folder/ --output found
"""

import argparse
from collections.abc import Sequence

from detectron2.utils.logger import setup_logger

from hdetr_d2.errors import UserError
from hdetr_d2.inference import predict
from hdetr_d2.inference.trust import HELP as TRUST
from hdetr_d2.utils.memory import keep_freed_memory


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("checkpoint", help="of train_net.py, or a folder to share")
    parser.add_argument("images", nargs="+", help="image files, or folders of them")
    parser.add_argument("--output", default="predictions", help="folder for the json and pictures")
    parser.add_argument("--score-threshold", type=float, default=0.5)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    parser.add_argument(
        "--batch-size", type=int, default=1, help="images of one forward pass, or tiles"
    )
    parser.add_argument("--tile", type=int, help="pixels: look at large images tile by tile")
    parser.add_argument("--overlap", type=float, default=0.2, help="of tiles, as a share of one")
    parser.add_argument("--trust", action="append", default=[], metavar="PACKAGE", help=TRUST)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(arguments)
    setup_logger(name="hdetr_d2")
    keep_freed_memory()
    try:
        predict(
            args.checkpoint,
            args.images,
            output=args.output,
            score_threshold=args.score_threshold,
            device=args.device,
            batch_size=args.batch_size,
            tile=args.tile,
            overlap=args.overlap,
            trust=args.trust,
        )
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    return 0
