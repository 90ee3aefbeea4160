"""Write one HTML page about a run: curves, a table of the classes, confusions, and pictures of the
worst misses and false alarms. The page needs no network and no other files.

hdetr-d2 report output/quickstart
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from hdetr_d2.checkpoint import write_durably
from hdetr_d2.commands.judge import add_options, judged
from hdetr_d2.engine.messages import write_messages
from hdetr_d2.engine.results import RunResults, read_run
from hdetr_d2.errors import UserError
from hdetr_d2.judging import truth_difference
from hdetr_d2.pixels.image_format import image_format_of
from hdetr_d2.report import Subject, chosen, content_of, jpegs, page_of


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("run", type=Path, help="output folder of a training")
    parser.add_argument("--output", type=Path, help="page to write (default: RUN/report.html)")
    add_page_options(parser)
    return parser


def add_page_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options for the content of a page, and for matching detections with objects."""
    parser.add_argument("--images", type=int, default=200, help="number of pictures, worst first")
    parser.add_argument(
        "--side", type=int, default=640, help="longer side of the pictures in pixels"
    )
    add_options(parser)


def subjects_of(args: argparse.Namespace, runs: Sequence[RunResults]) -> list[Subject]:
    """The runs, judged according to the options.

    Raises:
        UserError: the runs were not evaluated on the same objects, or an option is out of range.
    """
    if args.images < 0 or args.side < 16:
        raise UserError("--images must not be negative, and --side at least 16")
    first, *others = runs
    for run in others:
        if what := truth_difference(first.truth, run.truth, args.task):
            raise UserError(f"{first.folder} and {run.folder} were evaluated on different {what}")
    # All with the images and objects in the same order
    same = [replace(run, truth=first.truth) for run in runs]
    named = zip(_names([run.folder for run in runs]), same, strict=True)
    return [Subject(name, judged(args, run), run.metrics()) for name, run in named]


def write_page(
    args: argparse.Namespace,
    run: RunResults,
    subjects: Sequence[Subject],
    title: str,
    output: Path,
) -> str:
    """Writes the page atomically; returns a line about it.

    Args:
        run: provides the images.

    Raises:
        UserError: an image cannot be read, or the page cannot be written.
    """
    images = chosen(subjects, args.images)
    entries = subjects[0].judgement.data.images
    files = [run.images / entries[place]["file_name"] for place in images]
    pictures = jpegs(files, side=args.side, image_format=image_format_of(run.cfg.data))
    content = content_of(title, subjects, images)

    def write(file: IO[bytes]) -> None:
        for part in page_of(content, pictures):
            file.write(part.encode())

    write_durably(output, write)
    size = output.stat().st_size / 2**20
    return f"Page: {output} ({size:.1f} MB, {len(images)} pictures)"


def _names(folders: Sequence[Path]) -> list[str]:
    """The ends of the paths, as long as needed to tell them apart."""
    paths = [folder.resolve().parts for folder in folders]
    for count in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-count:]) for parts in paths]
        if len(set(names)) == len(names):
            break
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(arguments)
    write_messages("hdetr_d2")
    try:
        run = read_run(args.run, args.task)
        subjects = subjects_of(args, [run])
        output = args.output or args.run / "report.html"
        page = write_page(args, run, subjects, f"Report: {subjects[0].name}", output)
    except (UserError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    print(page)
    return 0
