"""What is installed, under which name, and with which requirements."""

import ast
import importlib.util
import os
import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SETUP = runpy.run_path(str(ROOT / "setup.py"))
# Modules that are not called as the distribution that brings them.
DISTRIBUTIONS = {
    "faster_coco_eval": "faster-coco-eval",
    "PIL": "pillow",
    "cv2": "lvis",  # tried, and done without
    "huggingface_hub": "huggingface-hub",
    "hydra": "hydra-core",
    "yaml": "pyyaml",
}


def clone(folder: Path, *files: str) -> dict:
    """A small clone with our setup.py and empty files; returns what its setup.py defines."""
    shutil.copy(ROOT / "setup.py", folder)
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return runpy.run_path(str(folder / "setup.py"))


def test_every_folder_of_the_package_is_installed_from_where_it_is() -> None:
    packages = SETUP["package_map"]()
    folders = {path.parent for path in (ROOT / "hdetr_d2").rglob("*.py")}
    folders |= {path.parent for path in (ROOT / "configs").rglob("*.py")}
    assert folders <= {ROOT / folder for folder in packages.values()}
    assert packages["hdetr_d2.configs.common"] == "configs/common"
    assert all(name.split(".")[0] == "hdetr_d2" for name in packages)
    assert all((ROOT / folder).is_dir() for folder in packages.values())


def test_a_project_is_installed_below_the_package_without_its_tests(tmp_path: Path) -> None:
    files = ("hdetr_d2/configs/__init__.py", "configs/x/a.py", "tests/test_a.py", "tools/b.py")
    project = ("__init__.py", "model.py", "configs/c.py", "tests/test_c.py")
    setup = clone(tmp_path, *files, *(f"projects/demo/{file}" for file in project))
    assert setup["package_map"]() == {
        "hdetr_d2": "hdetr_d2",
        "hdetr_d2.configs": "hdetr_d2/configs",
        "hdetr_d2.configs.x": "configs/x",
        "hdetr_d2.projects.demo": "projects/demo",
        "hdetr_d2.projects.demo.configs": "projects/demo/configs",
    }


@pytest.mark.parametrize("is_clone", [True, False])
@pytest.mark.parametrize("name", ["projects", "configs"])
def test_what_stands_at_the_root_of_a_clone_is_found_and_that_of_strangers_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_clone: bool
) -> None:
    clone(tmp_path, f"hdetr_d2/{name}/__init__.py", f"{name}/demo/x.py")
    package = tmp_path / "hdetr_d2" / name
    shutil.copy(ROOT / "hdetr_d2" / name / "__init__.py", package)
    if not is_clone:
        (tmp_path / "setup.py").unlink()
    spec = importlib.util.spec_from_file_location(
        f"some_{name}", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    spec.loader.exec_module(module)
    assert (str(tmp_path / name) in module.__path__) is is_clone


def test_every_import_of_the_package_is_a_requirement() -> None:
    lines = SETUP["REQUIREMENTS"] + sum(
        (
            SETUP["EXTRAS"][name]
            for name in ("datumaro", "lvis", "parquet", "slurm", "wandb", "mlflow", "export")
        ),
        [],
    )
    required = {re.split(r"[<>=]", line)[0] for line in lines}
    imported = set()
    for path in (ROOT / "hdetr_d2").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                imported.add(node.module.split(".")[0])
    imported -= {*sys.stdlib_module_names, "hdetr_d2", "detectron2"}
    assert {DISTRIBUTIONS.get(name, name) for name in imported} <= required


def test_every_extra_is_told() -> None:
    page = (ROOT / "docs" / "INSTALL.md").read_text(encoding="utf-8")
    assert [name for name in SETUP["EXTRAS"] if f"`[{name}]`" not in page] == []


def test_what_checks_the_code_is_pinned() -> None:
    for tool in ("pytest", "ruff", "mypy", "clang-format"):
        assert any(re.fullmatch(rf"{tool}==[\d.]+", line) for line in SETUP["EXTRAS"]["dev"])


def test_the_sources_of_the_kernels_travel_and_what_is_built_here_does_not() -> None:
    manifest = (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines()
    assert "graft csrc" in manifest
    assert {"*.so", "_build.json"} <= set(manifest[-1].split())
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"*.so", "/hdetr_d2/_build.json"} <= set(ignored)


def test_ci_compiles_the_cuda_kernels_for_one_architecture() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST=\d+\.\d .*make kernels", ci)


def test_an_old_setuptools_is_told_in_one_sentence() -> None:
    with pytest.raises(SystemExit, match="setuptools 65.5.0 is too old: pip install"):
        SETUP["check_setuptools"]("65.5.0")
    SETUP["check_setuptools"]("77.0.1")


def test_ci_runs_the_test_command_of_the_readme() -> None:
    ci = ROOT / ".ci" / "run"
    assert os.access(ci, os.X_OK)
    assert "make test" in ci.read_text(encoding="utf-8")
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_page_travels_with_the_package() -> None:
    """What stands beside the code and is no code must be named, or a wheel lacks it."""
    code = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert 'package_data={"hdetr_d2.report": ["*.html", "*.css", "*.js"]}' in code
    found = {path.name for path in (ROOT / "hdetr_d2" / "report").glob("page.*")}
    assert found == {"page.py", "page.html", "page.css", "page.js"}
    left = {path.suffix for path in (ROOT / "hdetr_d2").rglob("*") if path.is_file()}
    assert left <= {".py", ".pyc", ".so", ".json", ".html", ".css", ".js", ".toml", ".typed"}
