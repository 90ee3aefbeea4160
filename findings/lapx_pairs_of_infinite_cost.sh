#!/bin/bash
# lapx 0.11.1: where infinite costs forbid so many pairs that not every row can have a column, `lapjv`, `lapjvx` and
# `lapjvxa` answer with forbidden pairs, and the allowed ones beside them are not the cheapest. `lapjvc` of the same package
# leaves the row out; `lapjvh`, `lapjvr`, `lapjvs`, `lapjvsa` and SciPy refuse the matrix.
#
# Expected: one answer of one package: a refusal, or the cheapest of the pairs that are allowed.
# What is hit: trackers and matchers that forbid pairs by an infinite cost, as of another class or too far away: one that was
# written for SciPy, and changes to lapx, goes on with matches against the rule. `cost_limit` leaves pairs out as wanted.
#
# Output seen (row, column, cost):
#   scipy: ValueError
#   lapjv: [(0, 1, 5.0), (1, 0, inf), (2, 2, 1.0)]
#   lapjvx: [(0, 1, 5.0), (1, 0, inf), (2, 2, 1.0)]
#   lapjvxa: [(0, 1, 5.0), (1, 0, inf), (2, 2, 1.0)]
#   lapjvc: [(0, 0, 1.0), (2, 2, 1.0)]
#   lapjvh: ValueError
#   lapjvr: ValueError
#   lapjvs: ValueError
#   lapjvsa: ValueError
#   lapjv with cost_limit=100: [(0, 0, 1.0), (2, 2, 1.0)]
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q lapx==0.11.1 scipy==1.17.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys

import lap
import numpy as np
from scipy.optimize import linear_sum_assignment

inf = np.inf
COSTS = np.array([[1.0, 5.0, 9.0], [inf, inf, inf], [4.0, 9.0, 1.0]])  # nothing may go to the second row


def scipy(costs):
    return list(zip(*linear_sum_assignment(costs), strict=True))


def pairs(name, **options):
    found = getattr(lap, name)(COSTS, **options)
    if name == "lapjv":
        return [(row, column) for row, column in enumerate(found[1]) if column >= 0]
    return list(found[1]) if name.endswith("a") else list(zip(found[-2], found[-1], strict=True))


def told(solve):
    try:
        return [(int(i), int(j), float(COSTS[i, j])) for i, j in sorted(map(tuple, solve()))]
    except ValueError:
        return "ValueError"


seen = {"scipy": told(lambda: scipy(COSTS))}
for name in ("lapjv", "lapjvx", "lapjvxa", "lapjvc", "lapjvh", "lapjvr", "lapjvs", "lapjvsa"):
    seen[name] = told(lambda: pairs(name))
seen["lapjv with cost_limit=100"] = told(lambda: pairs("lapjv", cost_limit=100))
for name, answer in seen.items():
    print(f"{name}: {answer}")
DEARER = [(0, 1, 5.0), (1, 0, inf), (2, 2, 1.0)]
CHEAPEST = [(0, 0, 1.0), (2, 2, 1.0)]
expected = dict.fromkeys(seen, "ValueError")
expected |= dict.fromkeys(("lapjv", "lapjvx", "lapjvxa"), DEARER)
expected |= dict.fromkeys(("lapjvc", "lapjv with cost_limit=100"), CHEAPEST)
sys.exit(seen != expected)
PY
