#!/bin/bash
# pyarrow 26.0.1 (numpy 2.4.6): Python numbers with a fraction lose it without a word where the schema, or the type of an array,
# is of integers: pa.array([3.7], pa.int32()) and pa.Table.from_pylist([{"x": 3.7}], schema=...) give 3, also within lists and
# structs. The same numbers in a NumPy array, and a cast of a column of floats, raise ArrowInvalid.
#
# Expected: the error of the others, "Float value 3.7 was truncated converting to int32", in whatever form the numbers come.
# Who meets it: rows of Python objects (detections, annotations) that are written to Parquet with a schema: one box of
# fractions in a column that is declared as integers is a box of other numbers then, and no row tells which.
# What helps: building the table without a schema, then table.cast(schema), which raises.
#
# Output seen:
#   array of a list:   [3, -3]
#   from_pylist:       [{'x': 3, 'box': [1, 2]}]
#   array of NumPy:    ArrowInvalid
#   cast of the table: ArrowInvalid
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys

import numpy as np
import pyarrow as pa


def told(function):
    try:
        return function()
    except pa.ArrowInvalid as error:
        return type(error).__name__


schema = pa.schema({"x": pa.int32(), "box": pa.list_(pa.int32())})
rows = [{"x": 3.7, "box": [1.5, 2.9]}]
found = {
    "array of a list:": told(lambda: pa.array([3.7, -3.7], pa.int32()).to_pylist()),
    "from_pylist:": told(lambda: pa.Table.from_pylist(rows, schema=schema).to_pylist()),
    "array of NumPy:": told(lambda: pa.array(np.array([3.7]), pa.int32()).to_pylist()),
    "cast of the table:": told(lambda: pa.Table.from_pylist(rows).cast(schema).to_pylist()),
}
for name, value in found.items():
    print(f"{name:18} {value}")
described = ([3, -3], [{"x": 3, "box": [1, 2]}], "ArrowInvalid", "ArrowInvalid")
sys.exit(0 if tuple(found.values()) == described else 1)
PY
