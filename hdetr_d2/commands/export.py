"""Export a trained model to a file for other runtimes, and check that it finds the same objects.
ONNX and OpenVINO run without PyTorch.

hdetr-d2 export output/quickstart/model_final.pth --images photos/
hdetr-d2 export model_final.pth --format openvino --size 480 640 --precision int8 --images photos/
"""

import argparse
from collections.abc import Sequence

from hdetr_d2.engine.messages import write_messages
from hdetr_d2.errors import UserError
from hdetr_d2.exporting import export
from hdetr_d2.exporting.formats import FORMATS
from hdetr_d2.inference.trust import HELP as TRUST

PRECISIONS = sorted({each for form in FORMATS.values() for each in form.precisions})


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("checkpoint", help="a .pth file of a training, or a shared folder")
    parser.add_argument(
        "--output", help="file, or folder for OpenVINO (default: beside the checkpoint)"
    )
    parser.add_argument("--format", choices=FORMATS, default="onnx")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("H", "W"), help="fix the size of images"
    )
    parser.add_argument("--batch", type=int, help="fix the number of images (default: any number)")
    parser.add_argument(
        "--dynamic", action="store_true", help="any size and any number of images (the default)"
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--raw", action="store_true", help="return scores and boxes of all queries")
    parser.add_argument(
        "--no-grid-sample",
        action="store_true",
        help="write deformable attention without GridSample",
    )
    parser.add_argument(
        "--images", nargs="+", help="images to compare on, and to calibrate int8 with"
    )
    parser.add_argument("--tolerance", type=float, help="largest allowed difference of scores")
    parser.add_argument("--trust", action="append", default=[], metavar="PACKAGE", help=TRUST)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(arguments)
    if args.dynamic and (args.size or args.batch):
        parser.error("--dynamic is for any size and number of images: leave out --size and --batch")
    write_messages("hdetr_d2")
    try:
        export(
            args.checkpoint,
            args.output,
            format=args.format,
            size=args.size,
            batch=args.batch,
            precision=args.precision,
            post_processing=not args.raw,
            grid_sample=not args.no_grid_sample,
            images=args.images,
            tolerance=args.tolerance,
            trust=args.trust,
        )
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    return 0
