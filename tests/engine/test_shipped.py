"""Recipes are found by name, in a clone and in an installed package."""

from pathlib import Path

import pytest

from hdetr_d2.engine import shipped
from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.shipped import shipped_config, shipped_configs
from hdetr_d2.errors import UserError

NAME = "deformable_detr/deformable_detr_r50_50ep.py"


@pytest.fixture(params=["clone", "installed"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that holds `configs/` and `projects/`, with a few empty files."""
    package = tmp_path / "hdetr_d2"
    root = tmp_path if request.param == "clone" else package
    files = ["configs/common/a.py", "configs/x/b.py", "projects/p/configs/c.py"]
    for file in [*files, "setup.py" if root == tmp_path else "configs/__init__.py"]:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    monkeypatch.setattr(shipped.resources, "files", lambda name: package)
    return root


def test_all_recipes_by_name(root: Path) -> None:
    assert shipped_configs() == {
        "x/b.py": root / "configs/x/b.py",
        "projects/p/configs/c.py": root / "projects/p/configs/c.py",
    }


def test_a_shipped_config_loads_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped_config(NAME) == shipped_config(f"configs/{NAME}")
    assert load_config(shipped_config(NAME)).train.epochs == 50


def test_an_unknown_one_is_a_sentence_with_its_neighbours() -> None:
    with pytest.raises(UserError, match=r"there is no config none\.py among those of hdetr_d2$"):
        shipped_config("none.py")
    with pytest.raises(UserError, match=f"{NAME}x among those of hdetr_d2; the nearest: {NAME}"):
        shipped_config(f"{NAME}x")
