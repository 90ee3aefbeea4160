#!/usr/bin/env python
"""Train or evaluate a detector; `python train_net.py --help` says how."""

import hdetr_d2  # noqa: F401  (first: it decides which detectron2 is imported)

import os
import sys

# Read when torch is imported. Threads that wait by spinning take the cores from the data loader's
# workers: on two busy cores a step took ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from hdetr_d2.engine.main import main

if __name__ == "__main__":
    sys.exit(main())
