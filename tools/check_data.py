#!/usr/bin/env python
"""`hdetr-d2 check-data`, from a clone."""

import hdetr_d2  # noqa: F401  (first: it decides which detectron2 is imported)

import sys

from hdetr_d2.__main__ import start

if __name__ == "__main__":
    sys.exit(start("check-data", sys.argv))
