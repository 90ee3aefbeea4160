"""Write a data set in another format, with copies of its images.

hdetr-d2 convert-data FOLDER OUT --to yolo
"""

import argparse
import sys
from collections.abc import Sequence

from hdetr_d2.data.formats.writers import WRITERS
from hdetr_d2.data.formats.writing import convert_data
from hdetr_d2.engine.messages import write_messages
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import image_format


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("folder", help="a data set in any format that training reads")
    parser.add_argument("out", help="folder to write to, new or empty")
    parser.add_argument("--to", choices=WRITERS, required=True, help="the format to write")
    parser.add_argument("--channels", type=int, help="channels of every image, as data.channels")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(arguments)
    write_messages("hdetr_d2")
    try:
        convert_data(args.folder, args.out, args.to, image_format(args.channels))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
