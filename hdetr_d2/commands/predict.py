"""Find objects in images with a trained model; writes a COCO json and pictures with boxes. Also
finds objects in videos, and tracks them.

hdetr-d2 predict output/quickstart/model_final.pth photo.jpg folder/ --output found
hdetr-d2 predict output/quickstart/model_final.pth --input clip.mp4 --track --output out.mp4
torchrun --nproc-per-node 8 -m hdetr_d2 predict model.pth names.txt a.tar --append --output found
"""

import argparse
from collections.abc import Sequence

from hdetr_d2.commands.inference_options import add_inference_options
from hdetr_d2.engine.messages import write_messages
from hdetr_d2.errors import UserError
from hdetr_d2.inference.at_scale import FORMATS, Share, predict_at_scale
from hdetr_d2.inference.prediction import predict_images
from hdetr_d2.inference.video import TRACKERS
from hdetr_d2.inference.video.prediction import predict_frames
from hdetr_d2.runtime import InferenceOptions
from hdetr_d2.runtime.writers import WRITERS
from hdetr_d2.utils.memory import keep_freed_memory


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("checkpoint", help="a checkpoint, a shared folder, or an exported file")
    parser.add_argument("images", nargs="*", help="image files, or folders of them")
    parser.add_argument(
        "--input",
        metavar="VIDEO",
        help="in place of images: a video file, the address of a stream, or the number of a "
        "camera (until Ctrl-C)",
    )
    parser.add_argument(
        "--track",
        nargs="?",
        const="bytetrack",
        choices=TRACKERS,
        help="give an object of a video the same track_id in all frames (default: bytetrack)",
    )
    parser.add_argument(
        "--output",
        default="predictions",
        help="folder for the json and pictures, or a file ending in .json, .jsonl or .csv; for a "
        "video also the drawn one (.mp4, .mov, .mkv, .webm), with a .csv beside it. A name with "
        "another ending of two to five letters, as .txt, must be an existing folder",
    )
    parser.add_argument(
        "--format",
        nargs="+",
        choices=[*WRITERS, *(name for name in FORMATS if name not in WRITERS)],
        help="formats to write in place of a COCO json, or of a video's .csv; parquet only with "
        "--append",
    )
    parser.add_argument(
        "--append",
        action="store_true",
        help="for very many images, also in tar files and lists of names (.txt), with any number "
        "of processes of torchrun: each appends to its own file in the output folder, and "
        "continues there when restarted; no pictures are drawn",
    )
    add_inference_options(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_intermixed_args(arguments)  # otherwise no image could follow an option
    if bool(args.images) == (args.input is not None):
        parser.error("give images, or a video with --input")
    if args.append and args.input is not None:
        parser.error("--append is for images")
    if not args.append and Share.of_torchrun().count > 1:
        parser.error("several processes predict with --append")
    if args.track and args.input is None:
        parser.error("--track is for a video: give one with --input")
    write_messages("hdetr_d2")
    keep_freed_memory()
    model, written = args.checkpoint, {"output": args.output, "format": args.format}
    try:
        options = InferenceOptions.of(args)
        if args.append:
            predict_at_scale(model, args.images, options=options, **written)
        elif args.input is None:
            predict_images(model, args.images, options, **written)
        else:
            predict_frames(model, args.input, options, track=args.track, **written)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    return 0
