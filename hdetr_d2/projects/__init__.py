"""The published systems of `projects/`, importable as `hdetr_d2.projects.<name>`.

In an installed wheel they are in this folder; in a clone they are at the root, where this package
looks too.
"""

from pathlib import Path

_CLONE = Path(__file__).resolve().parents[2]
# Without the check for setup.py, any folder `projects` beside an installed package would be used.
if (_CLONE / "setup.py").is_file() and (_CLONE / "projects").is_dir():
    __path__.append(str(_CLONE / "projects"))
