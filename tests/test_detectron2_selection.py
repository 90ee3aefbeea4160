"""Which detectron2 a process gets: every case in its own, most without site-packages (-S)."""

import hdetr_d2

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(hdetr_d2.__file__).resolve().parents[1]
STAND_IN = ROOT / "hdetr_d2" / "fallback"
REPORT = """
import sys, hdetr_d2, detectron2
from hdetr_d2 import _detectron2
print(_detectron2.active(), [k for k, p in enumerate(sys.path) if p == str(_detectron2.STAND_IN)],
      len(sys.path), detectron2.__file__)
"""


def python(
    code: str, *paths: Path, choice: str | None = None, cwd: Path | None = None, site: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run `code` with `paths` importable; without `site`, no installed package is."""
    environment = {k: v for k, v in os.environ.items() if k != "HDETR_D2_DETECTRON2"}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, [*paths, ROOT]))
    if choice is not None:
        environment["HDETR_D2_DETECTRON2"] = choice
    command = [sys.executable, *([] if site else ["-S"]), "-c", code]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True)


def output(*arguments, **options) -> str:
    result = python(*arguments, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def last_error(*arguments, **options) -> str:
    result = python(*arguments, **options)
    assert result.returncode != 0, result.stdout
    return result.stderr.strip().splitlines()[-1]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder that holds a package detectron2, as site-packages does when it is installed."""
    package = tmp_path / "site" / "detectron2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("__version__ = 'installed'\n")
    return package.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with a checkout of Detectron2, which Python takes for a package."""
    package = tmp_path / "work" / "detectron2" / "detectron2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    return tmp_path / "work"


class TestChoice:
    def test_nothing_installed(self):
        kind, where, length, path = output(REPORT).split()
        assert kind == "fallback"
        assert where == f"[{int(length) - 1}]"  # last in sys.path
        assert Path(path).is_relative_to(STAND_IN)

    def test_installed(self, installed):
        kind, where, _, path = output(REPORT, installed).split()
        assert (kind, where) == ("real", "[]")
        assert Path(path).is_relative_to(installed)

    def test_forced_fallback(self, installed):
        kind, where, _, path = output(REPORT, installed, choice="fallback").split()
        assert (kind, where) == ("fallback", "[0]")
        assert Path(path).is_relative_to(STAND_IN)

    def test_forced_real(self, installed):
        assert output(REPORT, installed, choice="real").startswith("real []")

    def test_forced_real_but_not_installed(self):
        error = last_error("import hdetr_d2", choice="real")
        assert error.startswith("ImportError: HDETR_D2_DETECTRON2=real, but")
        assert "pip install" in error

    def test_unknown_choice(self):
        error = last_error("import hdetr_d2", choice="yes")
        assert error == "ValueError: HDETR_D2_DETECTRON2 must be auto, real or fallback, not 'yes'"

    @pytest.mark.parametrize("choice", ["auto", "fallback"])
    def test_folder_in_the_working_directory(self, folder, choice):
        assert output(REPORT, cwd=folder, choice=choice).startswith("fallback")

    def test_folder_does_not_count_as_installed(self, folder):
        assert "not installed" in last_error("import hdetr_d2", cwd=folder, choice="real")

    def test_folder_does_not_hide_the_installed_one(self, folder, installed):
        assert output(REPORT, installed, cwd=folder).startswith("real")

    def test_second_import_changes_nothing(self):
        code = "import hdetr_d2, importlib, detectron2; importlib.reload(hdetr_d2)" + REPORT
        assert output(code).split()[1].count(",") == 0


class TestAlreadyImported:
    first = "import detectron2, hdetr_d2; print(hdetr_d2._detectron2.active())"

    def test_the_same(self, installed):
        assert output(self.first, installed) == "real"
        assert output(self.first, installed, choice="real") == "real"
        assert output(self.first, STAND_IN) == "fallback"

    def test_the_other_one(self, installed):
        error = last_error(self.first, installed, choice="fallback")
        assert error.startswith("ImportError: Detectron2 itself")
        assert "already imported" in error
        assert str(installed) in error
        error = last_error(self.first, STAND_IN, choice="real")
        assert error.startswith("ImportError: the built-in stand-in")

    def test_a_folder(self, folder):
        error = last_error(self.first, cwd=folder)
        assert error.startswith("ImportError: a folder named detectron2")


SPAWN = """
import multiprocessing, sys
import hdetr_d2

if __name__ == "__main__":
    sys.path.insert(0, {here!r})
    import worker
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(worker.look) == worker.look(), worker.look())
"""


@pytest.mark.parametrize("choice", ["auto", "fallback"])
def test_spawned_worker_agrees(tmp_path, installed, choice):
    # The worker imports detectron2 without hdetr_d2, as one does that unpickles a data set.
    (tmp_path / "worker.py").write_text(
        "def look():\n    import detectron2\n    return detectron2.__file__\n"
    )
    (tmp_path / "main.py").write_text(SPAWN.format(here=str(tmp_path)))
    code = f"import runpy; runpy.run_path({str(tmp_path / 'main.py')!r}, run_name='__main__')"
    paths = [installed] if choice == "fallback" else []
    agree, path = output(code, *paths, choice=choice).split()
    assert agree == "True"
    assert Path(path).is_relative_to(STAND_IN)


def test_one_log_line():
    code = "import logging; logging.basicConfig(level='INFO', format='%(name)s: %(message)s')"
    lines = python(f"{code}; import hdetr_d2").stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("hdetr_d2: Using the built-in stand-in for Detectron2 (")


def test_import_is_light():
    code = (
        "import sys, hdetr_d2; print(sorted({'torch', 'numpy', 'detectron2'} & set(sys.modules)))"
    )
    assert output(code, site=True) == "[]"


TRY = """
import hdetr_d2
for statement in {statements}:
    try:
        exec(statement)
    except Exception as error:
        print(type(error).__name__, error)
import detectron2.config
print(hasattr(detectron2.config, "get_cfg"))
"""


@pytest.fixture(scope="module")
def errors(run_python: Callable) -> list[str]:
    """One process for all: it must import the libraries below the stand-in."""
    statements = [
        "from detectron2.config import get_cfg",
        "from detectron2.utils.comm import no_such_function",
        "import detectron2.config; detectron2.config.get_cfg",
        "from detectron2.structures import Boxes, RotatedBoxes",
        "import detectron2.modeling.roi_heads",
    ]
    code = TRY.format(statements=statements)
    done = run_python("-c", code, environment={"HDETR_D2_DETECTRON2": "fallback"})
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


class TestMissingNames:
    @pytest.mark.parametrize(
        ("statement", "name"),
        [
            ("import detectron2.export", "detectron2.export"),
            ("from detectron2 import model_zoo", "detectron2.model_zoo"),
            ("from detectron2.projects.point_rend import add_config", "detectron2.projects"),
        ],
    )
    def test_modules(self, statement, name):
        error = last_error(f"import hdetr_d2; {statement}")
        assert error.startswith(f"ImportError: {name} is not in the small stand-in for Detectron2")
        assert "pip install --no-build-isolation git+https://github.com/facebook" in error

    def test_names(self, errors):
        starts = [
            "ImportError detectron2.config.get_cfg is not in",
            "ImportError detectron2.utils.comm.no_such_function is not in",
            "AttributeError detectron2.config.get_cfg is not in",
            "ImportError detectron2.structures.RotatedBoxes is not in",
            "ImportError detectron2.modeling.roi_heads is not in",
        ]
        for error, start in zip(errors, starts, strict=False):
            assert error.startswith(start)
            assert "pip install" in error

    def test_hasattr_is_false(self, errors):
        assert errors[-1] == "False"
