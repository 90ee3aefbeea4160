#!/usr/bin/env python
"""Draw what the routers of a trained Route-DETR do with the queries of an image, layer by layer.

python tools/visualize_routing.py output/quickstart_routed/model_final.pth photo.jpg
"""

import hdetr_d2  # noqa: F401  (first: it decides which detectron2 is imported)

import argparse
from collections.abc import Sequence
from pathlib import Path

from detectron2.utils.logger import setup_logger

from hdetr_d2.checkpoint import evaluated_weights, read_checkpoint
from hdetr_d2.checkpoint.weights import put_weights
from hdetr_d2.errors import UserError
from hdetr_d2.inference import Predictor
from hdetr_d2.inference.trust import HELP as TRUST
from hdetr_d2.projects.route_detr.pictures import draw_routing
from hdetr_d2.projects.route_detr.recording import record, routed_branch


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("checkpoint", type=Path, help="of train_net.py; exports have no routers")
    parser.add_argument("image", type=Path)
    parser.add_argument("--output", type=Path, default=Path("routing.png"))
    parser.add_argument("--queries", type=int, default=40, help="how many, the surest first")
    parser.add_argument("--links", type=int, default=12, help="how many of each kind")
    parser.add_argument("--strength", type=float, help="default: that at the end of the training")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    parser.add_argument("--trust", action="append", default=[], metavar="PACKAGE", help=TRUST)
    return parser


def load(checkpoint: Path, device: str, trust: Sequence[str]) -> Predictor:
    """The detector with the routers, which evaluation does not need.

    Raises:
        UserError: the file cannot be read, or has no routers.
    """
    predictor = Predictor(checkpoint, device=device, trust=trust)
    routed_branch(predictor.detector.model)
    put_weights(
        predictor.detector.model, evaluated_weights(read_checkpoint(checkpoint)), checkpoint
    )
    return predictor


def main(arguments: list[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(arguments)
    if min(args.queries, args.links) < 1:
        parser.error("--queries and --links must be at least 1")
    setup_logger(name="hdetr_d2")
    try:
        predictor = load(args.checkpoint, args.device, args.trust)
        item = predictor.detector.mapper(
            {"file_name": str(args.image), "image_id": str(args.image)}
        )
        model, strength = predictor.detector.model, args.strength
        if strength is None:
            strength = routed_branch(model).strength(1.0)
        recording = record(model, item["image"], strength).top(args.queries)
        image = predictor.picture(predictor.detector.image_format.read(args.image))
        draw_routing(image, recording, num_links=args.links).savefig(args.output)
    except (UserError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    print(f"Routing: {args.output}")
    return 0


if __name__ == "__main__":
    main()
