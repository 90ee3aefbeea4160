"""Compare two runs that were evaluated on the same data: differences between their configs, a table
of both, and one HTML page that starts with the images on which they differ most.

hdetr-d2 compare output/one output/other

(compare-schemes trains the same model under several schemes.)
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from tabulate import tabulate

from hdetr_d2.commands.report import add_page_options, subjects_of, write_page
from hdetr_d2.engine.compare import differences
from hdetr_d2.engine.config import plain_config
from hdetr_d2.engine.messages import write_messages
from hdetr_d2.engine.results import RunResults, read_run
from hdetr_d2.errors import UserError
from hdetr_d2.report import Subject

COLUMNS = ("AP", "AP50", "AR", "F1")
# Options written by a run: its folder, and its counts.
WRITTEN = ("train.output_dir", "data.image_counts")


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("runs", type=Path, nargs=2, metavar="RUN", help="output folders: A and B")
    parser.add_argument("--output", type=Path, help="page to write (default: compare.html in B)")
    add_page_options(parser)
    return parser


def table(first: Subject, second: Subject) -> str:
    """Both values and their difference, for each class and each metric."""
    headers = ["class", "objects"]
    for column in COLUMNS:
        headers += [f"{column} A", f"{column} B", "B - A"]
    rows = []
    for one, two in zip(first.judgement.rows(), second.judgement.rows(), strict=True):
        values = [(one[c], two[c], two[c] - one[c]) for c in COLUMNS]
        rows.append([one["class"], one["objects"], *(each for three in values for each in three)])
    known = [[None if value != value else value for value in row] for row in rows]  # no +nan
    formats = ("", "", *(".1f", ".1f", "+.1f") * len(COLUMNS))
    return tabulate(known, headers, floatfmt=formats, missingval="nan", disable_numparse=[0])


def changes(first: RunResults, second: RunResults) -> Iterator[str]:
    """The options that differ between the configs, except for those written by the runs."""
    for option, change in differences(plain_config(first.cfg), plain_config(second.cfg)):
        if option not in WRITTEN:
            yield f"{option}: {change}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(arguments)
    write_messages("hdetr_d2")
    try:
        runs = [read_run(folder, args.task) for folder in args.runs]
        subjects = subjects_of(args, runs)
        output = args.output or args.runs[1] / "compare.html"
        title = f"{subjects[0].name} (A) and {subjects[1].name} (B)"
        page = write_page(args, runs[0], subjects, title, output)
    except (UserError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    print(f"A = {args.runs[0]}, B = {args.runs[1]}\n")
    print(table(*subjects))
    print("\n".join(["\nOptions, A -> B:", *(list(changes(*runs)) or ["none"])]))
    print(f"\n{page}")
    return 0
