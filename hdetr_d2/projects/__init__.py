"""The published systems of `projects/`, importable as `hdetr_d2.projects.<name>`.

In an installed wheel they lie in this folder; in a clone they stand at the root, and this package
looks there too.
"""

from pathlib import Path

_CLONE = Path(__file__).resolve().parents[2]
# Without the check for setup.py, any folder `projects` beside an installed package would be ours.
if (_CLONE / "setup.py").is_file() and (_CLONE / "projects").is_dir():
    __path__.append(str(_CLONE / "projects"))
