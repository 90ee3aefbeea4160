"""Share a trained model on the Hugging Face hub, or as a folder.

hdetr-d2 push output/quickstart/model_best.pth user/shapes
hdetr-d2 push output/quickstart/model_best.pth user/shapes --folder shared  # sends nothing
hdetr-d2 push shared user/shapes
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hdetr_d2.engine.messages import write_messages
from hdetr_d2.errors import UserError
from hdetr_d2.inference.trust import HELP as TRUST
from hdetr_d2.model_zoo.hub import push
from hdetr_d2.model_zoo.saving import save_pretrained
from hdetr_d2.runtime import Predictor


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument(
        "checkpoint", type=Path, help="a .pth file, or a folder that --folder wrote"
    )
    parser.add_argument("model", nargs="?", help="name on the hub: user/model")
    parser.add_argument("--folder", type=Path, help="write this new folder, and send nothing")
    parser.add_argument("--private", action="store_true", help="make a new model private")
    parser.add_argument("--trust", action="append", default=[], metavar="PACKAGE", help=TRUST)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(arguments)
    if args.folder is None and args.model is None:
        parser.error("give the model's name on the hub (user/model), or --folder to write one")
    write_messages("hdetr_d2")
    try:
        _run(args)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    return 0


def _run(args: argparse.Namespace) -> None:
    predictor = Predictor(args.checkpoint, device="cpu", trust=args.trust)
    if args.folder is not None:
        save_pretrained(predictor.detector, args.folder, args.model, "--folder")
        print(f"Written: {args.folder}")
    elif args.checkpoint.is_dir():
        print(push(args.checkpoint, args.model, private=args.private))
    else:
        with tempfile.TemporaryDirectory() as beside:
            folder = Path(beside) / "model"
            save_pretrained(predictor.detector, folder, args.model)
            print(push(folder, args.model, private=args.private))
