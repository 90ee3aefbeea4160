"""Draw validation images with ground truth and predictions side by side.

hdetr-d2 contact-sheet output/quickstart
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.data import DatasetCatalog
from detectron2.structures import BoxMode
from omegaconf import DictConfig

from hdetr_d2.commands.inference_options import add_inference_options
from hdetr_d2.data import register_datasets
from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.messages import write_messages
from hdetr_d2.errors import UserError
from hdetr_d2.inference import Predictor
from hdetr_d2.runtime import InferenceOptions
from hdetr_d2.visualization import Example, Shapes, contact_sheet


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("run", type=Path, help="output folder of a training")
    parser.add_argument(
        "--checkpoint", type=Path, help="checkpoint to use (default: RUN/model_final.pth)"
    )
    parser.add_argument(
        "--output", type=Path, help="picture to write (default: RUN/contact_sheet.png)"
    )
    parser.add_argument(
        "--images", type=int, default=12, help="number of images, spread over the data set"
    )
    add_inference_options(parser, score_threshold=0.3)
    return parser


def chosen_entries(cfg: DictConfig, count: int) -> list[dict[str, Any]]:
    """Entries spread over the validation data; no other data are needed."""
    register_datasets({**cfg.data, "generate": None}, cfg.dataloader, for_training=False)
    entries = DatasetCatalog.get(cfg.dataloader.test.dataset)
    return entries[:: max(1, len(entries) // count)][:count]


def true_shapes(entry: Mapping[str, Any]) -> Shapes:
    """The ground truth of a data set entry, without crowds."""
    objects = [item for item in entry.get("annotations", []) if not item.get("iscrowd", 0)]
    corners = [BoxMode.convert(o["bbox"], o["bbox_mode"], BoxMode.XYXY_ABS) for o in objects]
    classes = np.array([o["category_id"] for o in objects], np.int64)
    return Shapes(np.array(corners, np.float32).reshape(-1, 4), classes)


def examples(
    entries: Sequence[Mapping[str, Any]], predictor: Predictor, options: InferenceOptions
) -> list[Example]:
    paths = [Path(entry["file_name"]) for entry in entries]
    result = []
    detections = predictor.detect(paths, options.batch_size)
    for entry, path, seen in zip(entries, paths, detections, strict=True):
        if isinstance(seen, UserError):
            raise seen
        found = seen.shapes.above(options.score_threshold)
        image = predictor.picture(seen.pixels)
        result.append(Example(path.name, image, true_shapes(entry), found))
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(arguments)
    if args.images < 1:
        parser.error(f"--images {args.images} must be at least 1")
    write_messages("hdetr_d2")
    try:
        options = InferenceOptions.of(args)
        predictor = options.open(args.checkpoint or args.run / "model_final.pth")
        cfg = load_config(str(args.run / "config.yaml"))
        pairs = examples(chosen_entries(cfg, args.images), predictor, options)
        picture = args.output or args.run / "contact_sheet.png"
        contact_sheet(pairs, predictor.class_names).save(picture)
    except (UserError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    print(f"Contact sheet: {picture}")
    return 0
