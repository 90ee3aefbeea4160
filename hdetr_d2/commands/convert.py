"""Convert a published checkpoint to a config and weights of this project, in a new folder.

hdetr-d2 convert --source h-deformable-detr checkpoint.pth --output models/h_detr
"""

import argparse
import sys
from typing import Any

import yaml
from omegaconf import OmegaConf

from hdetr_d2.checkpoint.importers import CLASSES, COCO_IDS
from hdetr_d2.checkpoint.importers.registry import BUILT_IN
from hdetr_d2.engine.convert import Converted, convert_checkpoint
from hdetr_d2.errors import UserError


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument(
        "checkpoint",
        help="file that the published training script wrote, or a folder of transformers",
    )
    parser.add_argument(
        "--source",
        required=True,
        help=f"{', '.join(BUILT_IN)}, or the name of a project that has an importer",
    )
    parser.add_argument("--output", required=True, help="new folder for config.yaml and model.pth")
    parser.add_argument(
        "--arg",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="argument of the published script that the file does not tell, as nheads=8",
    )
    parser.add_argument(
        "--classes",
        choices=CLASSES,
        default="all",
        help="coco80: of 91 category ids keep the 80 that Detectron2's COCO uses; "
        "coco133: of 250 the 133 of its panoptic data",
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="PATTERN",
        help="names in the file that may be left out, as 'mask_head.*'",
    )
    parser.add_argument(
        "--weights",
        metavar="NAME",
        help="of a file with a moving average beside the weights, which: model, ema_model",
    )
    return parser


def parse_arguments(texts: list[str]) -> dict[str, Any]:
    """Converts `["nheads=8"]` to `{"nheads": 8}`; values are read as YAML, except that 1e-4 is a
    number.
    """
    arguments: dict[str, Any] = {}
    for text in texts:
        if "=" not in text:
            raise UserError(f"--arg {text}: must be KEY=VALUE")
        try:
            parsed: Any = OmegaConf.to_object(OmegaConf.from_dotlist([text]))
        except yaml.YAMLError as error:
            raise UserError(f"--arg {text}: the value cannot be read") from error
        arguments |= parsed
    return arguments


def report(result: Converted) -> None:
    """Prints what was left out and assumed, and how to continue."""
    for name, reason in result.left_out.items():
        print(f"left out: {name} ({reason})")
    for name, value in result.assumed.items():
        print(f"assumed: {name}={value}, which the file does not tell (--arg says otherwise)")
    if result.num_classes in COCO_IDS:
        classes, _ = COCO_IDS[result.num_classes]
        print(f"{result.num_classes} classes are COCO's category ids:", end=" ")
        print(f"--classes {classes} makes them those of Detectron2")
    print(f"Evaluate: python train_net.py --config-file {result.config} --eval-only", end=" ")
    print(f"train.init_checkpoint={result.weights}")


def main(arguments: list[str] | None = None) -> int:
    """Converts and reports; returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        result = convert_checkpoint(
            options.checkpoint,
            source=options.source,
            output=options.output,
            arguments=parse_arguments(options.arg),
            classes=options.classes,
            ignore=options.ignore,
            weights=options.weights,
        )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    report(result)
    return 0
