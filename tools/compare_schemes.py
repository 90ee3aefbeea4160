#!/usr/bin/env python
"""`hdetr-d2 compare-schemes`, from a clone."""

import hdetr_d2  # noqa: F401  (first: it decides which detectron2 is imported)

import sys

from hdetr_d2.commands.compare_schemes import main

if __name__ == "__main__":
    sys.exit(main())
