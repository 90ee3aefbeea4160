"""Compare what the encoders and decoders of trained models have learned: score maps over images,
and IoF-IoB curves; for checkpoints of one run also how much the matching changes between them, and
for models with several heads how far these are from each other.

hdetr-d2 analyze output/plain/model_final.pth output/hybrid/model_final.pth
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import OmegaConf
from tqdm import tqdm

from hdetr_d2.analysis import (
    Head,
    Snapshot,
    changes,
    content,
    draw_instability,
    draw_overlaps,
    draw_score_maps,
    heads_of,
    study,
    study_heads,
    tables,
)
from hdetr_d2.checkpoint import evaluated_weights, read_checkpoint
from hdetr_d2.checkpoint.weights import put_weights
from hdetr_d2.data import register_datasets
from hdetr_d2.data.loader import dataset_dicts
from hdetr_d2.data.mapper import DetrMapper
from hdetr_d2.engine.messages import write_messages
from hdetr_d2.errors import UserError
from hdetr_d2.inference import Predictor
from hdetr_d2.inference.loading import TrainedDetector
from hdetr_d2.inference.trust import HELP as TRUST
from hdetr_d2.modeling import DETR
from hdetr_d2.utils.strict_json import to_json


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    add = parser.add_argument
    add("checkpoints", type=Path, nargs="+", help="checkpoints of trainings")
    add("--names", nargs="+", help="names for the checkpoints (default: folder/file)")
    add("--output", type=Path, default=Path("analysis"), help="folder for numbers and pictures")
    add("--json", help="COCO json (default: the validation data of the first checkpoint)")
    add("--image-root", help="folder of the images of --json")
    add("--images", type=int, default=100, help="number of images, spread over those with objects")
    add("--pictures", type=int, default=4, help="number of images drawn with their score maps")
    add("--all-queries", action="store_true", help="also analyze queries without a target")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    add("--trust", action="append", default=[], metavar="PACKAGE", help=TRUST)
    return parser


def metadata_of(checkpoint: Path) -> dict[str, Any]:
    return read_checkpoint(checkpoint, only_look=True).get("metadata", {})


def data_of(args: argparse.Namespace) -> dict[str, Any]:
    """The validation data in the form that `register_datasets` takes. They are only read, so
    generated data must already exist.
    """
    if args.json is not None:
        return dict(val_name="analysis", val_json=args.json, val_images=args.image_root)
    config = OmegaConf.create(yaml.safe_load(metadata_of(args.checkpoints[0]).get("config", "{}")))
    rules = ("crowds_as_objects", "skip_classes", "sizes_from_files", "channels")
    folder = ("folder", "val_share", "split_seed")
    keys = ("val_name", "val_json", "val_images", "val_panoptic", *folder, *rules)
    data = {key: OmegaConf.select(config, f"data.{key}") for key in keys}
    if data["val_name"] is None:
        raise UserError(f"{args.checkpoints[0]} names no data: give --json and --image-root")
    return data


def entries_of(args: argparse.Namespace) -> list[dict]:
    data = data_of(args)
    register_datasets(data, for_training=False)
    entries = dataset_dicts(data["val_name"], keep_empty=False)
    return entries[:: max(1, len(entries) // args.images)][: args.images]


def snapshot(path: Path, name: str, entries: Sequence[dict], args: argparse.Namespace) -> Snapshot:
    predictor = Predictor(path, device=args.device, trust=args.trust)
    detector = cast(TrainedDetector, predictor.detector)
    model, mapper = cast(DETR, detector.model), cast(DetrMapper, detector.mapper)
    mapper.is_train = True  # otherwise as in evaluation, but with annotations
    seen = study(
        model,
        mapper,
        tqdm(entries, desc=name, unit="image", disable=None),
        all_queries=args.all_queries,
        keep=args.pictures,
        picture=detector.image_format.picture,
    )
    metadata, heads = metadata_of(path), heads_in(path, model)
    distances = None
    if len(heads) > 1:
        shown = tqdm(entries, desc=f"heads of {name}", unit="image", disable=None)
        distances = study_heads(model, mapper, shown, heads)
    return Snapshot(name, seen, metadata.get("run"), metadata.get("iteration"), distances)


def heads_in(path: Path, model: DETR) -> dict[str, Head]:
    """The heads of the model, with the weights that evaluation does not need; empty if the file is
    an export without them.
    """
    heads, weights = heads_of(model), evaluated_weights(read_checkpoint(path))
    if len(heads) == 1 or not any(key.startswith("schemes.") for key in weights):
        return {}
    put_weights(model, weights, path)
    return heads


def write(snapshots: Sequence[Snapshot], folder: Path) -> str:
    """Writes pictures, numbers and tables into the folder; returns the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    found = changes(snapshots)
    studies = {snapshot.name: snapshot.study for snapshot in snapshots}
    draw_overlaps(studies).savefig(folder / "iof_iob.png", dpi=110)
    if snapshots[0].study.looks:
        draw_score_maps(studies).savefig(folder / "score_maps.png", dpi=80)
    if found:
        draw_instability(found).savefig(folder / "instability.png", dpi=110)
    numbers = to_json(content(snapshots, found))
    (folder / "analysis.json").write_text(numbers, encoding="utf-8")
    text = tables(snapshots, found)
    (folder / "tables.md").write_text(text + "\n", encoding="utf-8")
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(arguments)
    names = args.names or [f"{path.parent.name}/{path.stem}" for path in args.checkpoints]
    if len(set(names)) != len(args.checkpoints):
        parser.error(f"{len(args.checkpoints)} checkpoints need as many different --names")
    if args.images < 1:
        parser.error(f"--images {args.images} must be at least 1")
    if (args.json is None) != (args.image_root is None):
        parser.error("--json and --image-root go together")
    write_messages("hdetr_d2")
    try:
        entries = entries_of(args)
        each = zip(args.checkpoints, names, strict=True)
        text = write([snapshot(path, name, entries, args) for path, name in each], args.output)
    except (UserError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    print(f"{text}\n\nPictures and numbers: {args.output}")
    return 0
