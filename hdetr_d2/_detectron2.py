"""Which Detectron2 this process imports: the installed one, or the stand-in in `fallback/`."""

import logging
import os
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NoReturn

VARIABLE = "HDETR_D2_DETECTRON2"
INSTALL = "pip install --no-build-isolation git+https://github.com/facebookresearch/detectron2"
STAND_IN = Path(__file__).resolve().parent / "fallback"

Kind = Literal["real", "fallback"]
NAMES: dict[Kind | None, str] = {
    "real": "Detectron2 itself",
    "fallback": "the built-in stand-in for Detectron2",
    None: "a folder named detectron2",
}


def _kind(spec: ModuleSpec | None) -> Kind | None:
    """What `spec` imports; None for nothing, or for a mere folder that happens to have the name."""
    if spec is None or spec.origin is None:  # a namespace package has no file of its own
        return None
    return "fallback" if STAND_IN in Path(spec.origin).resolve().parents else "real"


def _refuse(wish: str, loaded: Kind | None) -> NoReturn:
    """Raises ImportError: what is in `sys.modules` cannot be exchanged any more."""
    module = sys.modules["detectron2"]
    place = getattr(module, "__file__", None) or list(module.__path__)
    raise ImportError(
        f"{NAMES[loaded]} ({place}) is already imported, but {VARIABLE}={wish} asks for another: "
        "import hdetr_d2 first"
    )


def _prepare_path(wish: str) -> None:
    """Edit `sys.path` so that `import detectron2` finds what `wish` asks for."""
    # A spawned worker inherits its parent's path: start from the path as it was before us.
    sys.path[:] = [entry for entry in sys.path if entry != str(STAND_IN)]
    if wish == "fallback":
        sys.path.insert(0, str(STAND_IN))
    elif _kind(find_spec("detectron2")) != "real":
        if wish == "real":
            raise ImportError(f"{VARIABLE}=real, but Detectron2 is not installed: {INSTALL}")
        # Last, so that it hides nothing that the user put on the path.
        sys.path.append(str(STAND_IN))


def select() -> None:
    """Make `import detectron2` work, as HDETR_D2_DETECTRON2 (auto, real or fallback) says.

    Raises:
        ValueError: the variable holds something else.
        ImportError: the real one is asked for and absent, or the other one is already imported.
    """
    wish = os.environ.get(VARIABLE, "auto")
    if wish not in ("auto", "real", "fallback"):
        raise ValueError(f"{VARIABLE} must be auto, real or fallback, not {wish!r}")
    if "detectron2" in sys.modules:
        loaded = _kind(sys.modules["detectron2"].__spec__)
        if loaded is None or wish not in ("auto", loaded):
            _refuse(wish, loaded)
    else:
        _prepare_path(wish)
    logging.getLogger("hdetr_d2").info(describe())


def active() -> Kind:
    """Which Detectron2 `import detectron2` gives in this process."""
    kind = _kind(find_spec("detectron2"))
    assert kind is not None, "select() has run at the import of hdetr_d2"
    return kind


def describe() -> str:
    """One line for the log: which Detectron2 is in use, and from where."""
    spec = find_spec("detectron2")
    assert spec is not None
    assert spec.origin is not None
    return f"Using {NAMES[active()]} ({Path(spec.origin).parent})"
