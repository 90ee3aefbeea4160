"""`python -m hdetr_d2.model_zoo > docs/MODEL_ZOO.md`: all recipes, from their headers and the table
of published checkpoints.
"""

import ast
import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from hdetr_d2.engine.shipped import shipped_configs
from hdetr_d2.model_zoo.imported import IMPORTED
from hdetr_d2.model_zoo.published import PUBLISHED

INTRODUCTION = """# Model zoo

Written by `python -m hdetr_d2.model_zoo > docs/MODEL_ZOO.md` from the recipes' headers and
`hdetr_d2/model_zoo/published.py`.

AP is that of the papers and their released checkpoints on COCO val2017, or on the data that a
recipe names, not ours. Weights are their authors' files, which

```python
import hdetr_d2  # first

from hdetr_d2 import model_zoo

model = model_zoo.get("hdetr/h_deformable_detr_r50_12ep.py").eval()
cfg = model_zoo.get_config("hdetr/h_deformable_detr_r50_12ep.py", trained=True)
print(cfg.train.init_checkpoint)  # for train_net.py
```

downloads, verifies where size or checksum are published, and converts once, also if several
processes ask at the same time ([CHECKPOINTS.md](CHECKPOINTS.md)); both files stay in iopath's cache
(`$FVCORE_CACHE`, or `~/.torch/iopath_cache`). Nothing in a downloaded file is run. `trained=False`
gives a recipe's model as its training begins.
"""
IMPORTED_INTRODUCTION = """
## Trained by detrex and transformers

Checkpoints with the settings of other code bases, which no recipe here has: `model_zoo.get(name)`
builds the model that the converted file describes, and `get_config(name, trained=True)` is its
config. The recipe that comes nearest is the one to train again. None of these files was downloaded
or evaluated here: their importers are tested with small models of both code bases.
"""


def page() -> str:
    """The page in Markdown."""
    by_folder = groupby(shipped_configs().items(), lambda item: item[0].rpartition("/")[0])
    tables = "".join(_table(folder, recipes) for folder, recipes in by_folder)
    return INTRODUCTION + tables + _imported()


def _table(folder: str, recipes: Iterable[tuple[str, Path]]) -> str:
    head = "| recipe | what it is | AP | weights |\n| --- | --- | --- | --- |\n"
    return f"\n## {folder}\n\n{head}" + "".join(_row(name, path) for name, path in recipes)


def _row(name: str, path: Path) -> str:
    header = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    title = " ".join(header.split("\n\n")[0].split()).removesuffix(".")
    published = re.search(r"^Published: +AP ([\d.]+)(?:.*, (PQ [\d.]+))?", header, re.MULTILINE)
    place = name if name.startswith("projects/") else f"configs/{name}"
    weights = f"[{PUBLISHED[name].source}]({PUBLISHED[name].url})" if name in PUBLISHED else ""
    figures = ", ".join(filter(None, published.groups())) if published else ""
    cells = [f"[{path.stem}](../{place})", title, figures, weights]
    return f"| {' | '.join(cells)} |\n"


def _imported() -> str:
    head = "| name | nearest recipe | AP | weights |\n| --- | --- | --- | --- |\n"
    return f"{IMPORTED_INTRODUCTION}\n{head}" + "".join(
        f"| {name} | [{Path(one.recipe or '').stem}](../configs/{one.recipe}) | {one.ap} | "
        f"[{one.source}]({one.url}), not downloaded here |\n"
        for name, one in IMPORTED.items()
    )


if __name__ == "__main__":
    print(page(), end="")
