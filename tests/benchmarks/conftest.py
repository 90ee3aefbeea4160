"""The folder of the benchmarks is on the path, as it is for a script in it."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"

sys.path.insert(0, str(FOLDER))
