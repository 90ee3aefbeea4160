"""Check data in COCO's format before training on them: one line a problem, then the numbers.

hdetr-d2 check-data train.json train/ --val val.json val/ --num-queries 300 --top-k 100

The exit status is 1 if there are errors (training would stop or be wrong), 2 if the json cannot be
read at all.
"""

import argparse
import sys
from itertools import chain

from rich.console import Console

from hdetr_d2.data.check import check_data, tables
from hdetr_d2.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Print the report; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("json", help="annotations in COCO's format")
    parser.add_argument("images", help="folder of the images")
    parser.add_argument(
        "--val", nargs=2, metavar=("JSON", "IMAGES"), help="validation data of the same classes"
    )
    parser.add_argument("--num-queries", type=int, default=300, help="of the model (300)")
    parser.add_argument("--top-k", type=int, default=100, help="detections kept of an image (100)")
    options = parser.parse_args(arguments)
    limits = {"num_queries": options.num_queries, "top_k": options.top_k}
    try:
        reports = [check_data(options.json, options.images, **limits)]
        if options.val:
            reports.append(check_data(*options.val, **limits, train=reports[0]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for problem in chain(*(report.problems for report in reports)):
        print(f"{'error' if problem.is_error else 'warning'}: {problem.text}")
    console = Console()
    for table in chain(*map(tables, reports)):
        console.print(table)
    return 1 if any(report.num_errors for report in reports) else 0
