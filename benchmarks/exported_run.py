"""What `exported.py` measures, and its table."""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from exported_peers import TRANSFORMERS, transformers_forms
from exported_precision import average_precision
from PIL import Image
from report import describe_run, parse_run, publish, run_parser, table
from train_step_sides import CLASSES

from hdetr_d2.data import DetrMapper
from hdetr_d2.engine.build import build
from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.device import Precision
from hdetr_d2.engine.shipped import shipped_config
from hdetr_d2.exporting import export
from hdetr_d2.inference.loading import TrainedDetector, open_checkpoint
from hdetr_d2.modeling.backbone import without_pretrained
from hdetr_d2.runtime.predictor import Detector, open_detector
from hdetr_d2.runtime.timing import Setting, Timing, time_in_turns

RECIPE = "deformable_detr/deformable_detr_two_stage_r50_50ep.py"
SMOKE_RECIPE = "quickstart/deformable_detr_shapes.py"
PYTORCH, PYTORCH_BFLOAT16 = "PyTorch, Predictor", "PyTorch, bfloat16"
COLUMNS = ("form", "median, ms", "90%, ms", "ratio to transformers", "ratio to PyTorch")
COLUMNS += ("memory, MB", "file, MB", "AP", "AP50")


class Form(NamedTuple):
    """format, precision: of `export`. ending: of the file."""

    format: str
    precision: str
    ending: str

    def __str__(self) -> str:
        return f"{self.format}, {self.precision}"


FORMS = [
    Form("torch", "float32", "32.pt2"),
    Form("onnx", "float32", "32.onnx"),
    Form("onnx", "float16", "16.onnx"),
    Form("onnx", "int8", "8.onnx"),
    Form("openvino", "float32", "32_openvino"),
    Form("openvino", "bfloat16", "b16_openvino"),
    Form("openvino", "int8", "8_openvino"),
]


def our_detector(options: argparse.Namespace, precision: str = "float32") -> TrainedDetector:
    """From the checkpoint, or from the recipe with random weights."""
    torch.set_num_threads(options.threads)
    if options.checkpoint:
        return open_checkpoint(options.checkpoint, "cpu", precision=precision)
    cfg = load_config(shipped_config(options.recipe), [f"data.num_classes={CLASSES}"])
    torch.manual_seed(0)
    forward = Precision.of(precision, torch.device("cpu"), option="precision")
    with without_pretrained():
        model = build(cfg, "model").eval().fold_norms(forward.dtype or torch.float32)
    names = tuple(map(str, range(CLASSES)))
    return TrainedDetector(model, DetrMapper(is_train=False), names, autocast=forward.autocast)


@contextmanager
def photos(options: argparse.Namespace, folder: Path) -> Iterator[Path]:
    """The given ones, or noise of this size."""
    if options.photos:
        yield Path(options.photos)
        return
    generator = np.random.default_rng(0)
    (folder / "noise").mkdir()
    for index in range(4):
        pixels = generator.integers(0, 256, (*options.size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "noise" / f"{index}.png")
    yield folder / "noise"


def forms(options: argparse.Namespace) -> list[Form]:
    if options.smoke:
        return FORMS[:1]
    return [form for form in FORMS if not options.forms or form.format in options.forms]


def measure(options: argparse.Namespace, folder: Path) -> list[list[object]]:
    detector = our_detector(options)
    files: dict[str, Path] = {}
    with photos(options, folder) as pictures:
        for form in forms(options):
            files[str(form)] = export(
                detector,
                folder / form.ending,
                format=form.format,
                precision=form.precision,
                size=options.size,
                batch=1,
                images=pictures,
                # The loss of precision is in the table.
                tolerance=None if form.precision == "float32" else float("inf"),
            )
    opened: dict[str, Callable[[], Detector]] = {
        PYTORCH: partial(our_detector, options),
        PYTORCH_BFLOAT16: partial(our_detector, options, "bfloat16"),
    }
    for name, path in files.items():
        opened[name] = partial(open_detector, path, threads=options.threads)
    if not options.smoke:
        opened |= transformers_forms(CLASSES, options.size, options.threads, folder)
    setting = Setting(options.size, threads=options.threads)
    timings = {each.model: each for each in time_in_turns(opened, setting, options.rounds)}
    return [row(name, timings, files, opened, options) for name in opened]


def row(
    name: str,
    timings: dict[str, Timing],
    files: dict[str, Path],
    opened: dict[str, Callable[[], Detector]],
    options: argparse.Namespace,
) -> list[object]:
    timing, ours = timings[name], timings[PYTORCH]
    theirs = timings.get(TRANSFORMERS or "")
    is_peer = TRANSFORMERS is not None and name.startswith(TRANSFORMERS)  # with random weights
    ap = [] if is_peer else [f"{100 * each:.2f}" for each in precision_of(opened[name], options)]
    return [
        name,
        f"{timing.percentile(50):.1f}",
        f"{timing.percentile(90):.1f}",
        f"{theirs.percentile(50) / timing.percentile(50):.2f}" if theirs else "",
        f"{ours.percentile(50) / timing.percentile(50):.2f}",
        f"{timing.memory:.0f}",
        f"{megabytes(files[name]):.1f}" if name in files else "",
        *(ap or ("", "")),
    ]


def precision_of(opened: Callable[[], Detector], options: argparse.Namespace) -> tuple[float, ...]:
    """AP and AP50 on the given images; empty if there are none."""
    if not options.json:
        return ()
    return average_precision(opened(), options.json, options.photos)


def megabytes(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files) / 2**20


def parse(description: str | None, arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(description)
    parser.add_argument("--recipe", default=RECIPE, help="of ours, with random weights")
    parser.add_argument("--checkpoint", help="in the place of a recipe")
    parser.add_argument("--json", help="COCO json of the checkpoint's classes")
    parser.add_argument("--photos", help="folder of its images; also to calibrate int8 with")
    parser.add_argument("--size", nargs=2, type=int, default=(480, 640), metavar=("H", "W"))
    parser.add_argument("--forms", nargs="+", help="formats; all by default")
    options = parse_run(parser, arguments)
    if bool(options.json) > bool(options.checkpoint and options.photos):
        parser.error("--json needs --checkpoint and --photos")
    options.size = tuple(options.size)
    if options.smoke:
        options.recipe, options.size, options.rounds = SMOKE_RECIPE, (64, 64), 1
    return options


def main(description: str | None, arguments: list[str] | None = None) -> None:
    """Exports, times, evaluates, prints the table, and writes it if requested."""
    options = parse(description, arguments)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options, Path(folder))
    model = options.checkpoint or f"{options.recipe}, random weights"
    lines = [
        *describe_run("cpu"),
        f"model: {model}; one image of {options.size[0]}x{options.size[1]}, from pixels to boxes",
    ]
    publish("exported", lines, [table(COLUMNS, rows)], options)
