#!/usr/bin/env python
"""A detector in every exported form: how long it takes, and how much AP it keeps.

python benchmarks/exported.py --write
python benchmarks/exported.py --size 128 160 --checkpoint model.pth --json val.json --photos val
"""

if __name__ == "__main__":
    # Imported here, because the models' processes import this file too, and most of them need no
    # PyTorch.
    from exported_run import main

    main(__doc__)
