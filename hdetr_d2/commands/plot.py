"""Plot the losses, AP and learning rate of a training run.

hdetr-d2 plot output/quickstart
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from hdetr_d2.errors import UserError
from hdetr_d2.visualization import plot_metrics


def main(arguments: Sequence[str] | None = None) -> int:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("run", type=Path, help="output folder of a training (with metrics.json)")
    parser.add_argument("--output", type=Path, help="picture to write (default: RUN/curves.png)")
    args = parser.parse_args(arguments)
    try:
        picture = plot_metrics(args.run / "metrics.json", args.output or args.run / "curves.png")
    except (UserError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    print(f"Curves: {picture}")
    return 0
