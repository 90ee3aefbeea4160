#!/usr/bin/env python
"""Train or evaluate a detector; `python train_net.py --help` says how."""

import hdetr_d2  # noqa: F401  (first: it decides which detectron2 is imported)

import sys

from hdetr_d2.__main__ import start

if __name__ == "__main__":
    sys.exit(start("train", sys.argv))
