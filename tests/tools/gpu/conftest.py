"""The folders of the scripts are on the path, as they are for the scripts in them."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tools" / "gpu"), str(ROOT / "benchmarks")]
