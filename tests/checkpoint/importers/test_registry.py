import sys
from pathlib import Path

import pytest

import hdetr_d2.projects
from hdetr_d2.checkpoint.importers import find_importer
from hdetr_d2.errors import UserError


@pytest.mark.parametrize(
    "source",
    ["deformable-detr", "h-deformable-detr", "detr", "dino", "detrex", "transformers"],
)
def test_the_built_in_ones(source: str) -> None:
    assert find_importer(source).name == source


def test_a_project_brings_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "my_system"
    project.mkdir()
    (project / "importer.py").write_text("importer = 'that of my system'")
    monkeypatch.setattr(hdetr_d2.projects, "__path__", [str(tmp_path)])
    assert find_importer("my-system") == "that of my system"
    for name in [name for name in sys.modules if "my_system" in name]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("source", ["", "none_such", "../evil", "a.b"])
def test_an_unknown_source_is_a_sentence(source: str) -> None:
    with pytest.raises(UserError, match=r"unknown source .*: it is one of deformable-detr, h-def"):
        find_importer(source)
