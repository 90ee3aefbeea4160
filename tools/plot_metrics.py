#!/usr/bin/env python
"""`hdetr-d2 plot`, from a clone."""

import hdetr_d2  # noqa: F401  (first: it decides which detectron2 is imported)

import sys

from hdetr_d2.__main__ import start

if __name__ == "__main__":
    sys.exit(start("plot", sys.argv))
