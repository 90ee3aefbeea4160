"""Judge a detector by the results of its last evaluation: COCO's averages; precision, recall and F1
with the best score threshold of each class; which classes are confused; and whether scores are
calibrated.

hdetr-d2 judge output/quickstart
hdetr-d2 judge --json val.json --results others/coco_instances_results.json
hdetr-d2 judge --json val.json --results found/predictions.json
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from hdetr_d2.checkpoint import write_durably
from hdetr_d2.data import read_results
from hdetr_d2.data.opening import whole_truth
from hdetr_d2.engine.messages import write_messages
from hdetr_d2.engine.results import RunResults, read_run
from hdetr_d2.errors import UserError
from hdetr_d2.judging import SHAPES, Judgement, Numbered, judge
from hdetr_d2.utils.strict_json import to_json

LONGEST = 20  # largest number of classes whose confusion matrix fits on the screen


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("run", type=Path, nargs="?", help="output folder of a training")
    parser.add_argument("--json", type=Path, help="COCO json with the objects, in place of a run")
    parser.add_argument(
        "--results",
        type=Path,
        help="COCO results json, or predictions.json of hdetr-d2 predict, with --json",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="json to write (default: judgement.json in RUN, or beside --results)",
    )
    add_options(parser)
    return parser


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options for matching detections with objects."""
    parser.add_argument(
        "--iou", type=float, default=0.5, help="least overlap of a right detection with its object"
    )
    parser.add_argument(
        "--max-dets", type=int, help="best detections per image and class that count"
    )
    parser.add_argument("--task", choices=("bbox", "segm"), default="bbox")


def judged(args: argparse.Namespace, run: RunResults | None) -> Judgement:
    """The judgement requested by the options, of a run or, without a run, of `args.json` and
    `args.results`.

    Raises:
        UserError: a file cannot be read, or an option is out of range.
    """
    if not 0 < args.iou <= 1:
        raise UserError(f"--iou {args.iou} must lie in (0, 1]")
    if args.max_dets is not None and args.max_dets < 1:
        raise UserError(f"--max-dets {args.max_dets} must be at least 1")
    if run is None:
        truth = whole_truth(args.json, with_masks=args.task == "segm")
        results = read_results(args.results, shape=SHAPES[args.task], truth=truth)
        data = Numbered.of(truth, results, args.task, source=args.results)
        return judge(data, iou=args.iou, max_dets=args.max_dets or 100)
    data = Numbered.of(run.truth, run.results, args.task, source=run.file)
    judgement = judge(data, iou=args.iou, max_dets=args.max_dets or run.max_dets)
    if args.max_dets in (None, run.max_dets):
        run.warn_of_changes(100 * float(judgement.averages["AP"][-1]), args.task)
    return judgement


def confusion_text(judgement: Judgement) -> str:
    """The confusion matrix, with a description of what it counts."""
    title = f"From a score of {judgement.threshold:.15g} on, objects of a class (row) are found as:"
    names = [*judgement.data.class_names, "nothing"]
    rows = [[name, *row] for name, row in zip(names, judgement.confusion.tolist(), strict=True)]
    table = tabulate(rows, ["true \\ found", *names], disable_numparse=[0])
    return f"{title}\n{table}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(arguments)
    pair = (args.json is not None, args.results is not None)
    if pair != ((True, True) if args.run is None else (False, False)):
        parser.error("give a RUN, or both --json and --results")
    write_messages("hdetr_d2")
    try:
        judgement = judged(args, args.run and read_run(args.run, args.task))
        output = args.output or (args.run or args.results.parent) / "judgement.json"
        text = to_json(judgement.as_json(), indent=1)
        write_durably(output, lambda file: file.write(text.encode()))
    except (UserError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    print(judgement.table())
    if len(judgement.data.class_names) <= LONGEST:
        print(f"\n{confusion_text(judgement)}")
    print(f"\nExpected calibration error: {100 * judgement.calibration.error:.1f}%")
    print(f"Numbers: {output}")
    return 0
