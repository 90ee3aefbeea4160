"""The `lvis` package becomes usable, and nothing else changes."""

import logging
import sys
from collections.abc import Callable

import numpy
import pytest

from hdetr_d2.data.lvis_shim import import_lvis
from hdetr_d2.errors import UserError

WITHOUT_CV2 = """
import logging, sys
assert "cv2" not in sys.modules
sys.modules["cv2"] = None
from hdetr_d2.data.lvis_shim import import_lvis
lvis = import_lvis()
assert sys.modules["cv2"] is None
assert logging.getLogger().handlers == []
assert lvis.eval.np.zeros(2).astype(lvis.eval.np.float).dtype == "float64"
assert import_lvis() is lvis
"""

CV2_NOT_INSTALLED = """
import sys
assert "cv2" not in sys.modules
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name == "cv2":
            raise ModuleNotFoundError("No module named 'cv2'", name="cv2")
sys.meta_path.insert(0, Nothing())
from hdetr_d2.data.lvis_shim import import_lvis
import_lvis()
assert "cv2" not in sys.modules
"""


@pytest.mark.parametrize("program", [WITHOUT_CV2, CV2_NOT_INSTALLED])
def test_without_cv2(run_python: Callable, program: str) -> None:
    run = run_python("-c", program)
    assert run.returncode == 0, run.stderr


def test_numpy_keeps_its_names_and_a_second_call_changes_nothing() -> None:
    root = logging.getLogger()
    before = list(root.handlers), root.level
    lvis = import_lvis()
    view = lvis.eval.np
    assert import_lvis() is lvis
    assert lvis.eval.np is view
    assert view.float is float
    assert view.cumsum is numpy.cumsum
    assert "float" not in vars(numpy)
    assert (list(root.handlers), root.level) == before


def test_lvis_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lvis", None)
    with pytest.raises(UserError, match="pip install lvis"):
        import_lvis()
