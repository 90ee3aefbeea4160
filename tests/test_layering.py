"""Imports run one way: the table of rooms, read from the source of every file in the package."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "hdetr_d2"
BOTTOM = {"errors", "utils", "_detectron2"}
MODEL = {"structures", "ops", "layers", "matching", "losses", "schemes.base", "modeling"}
TOP = MODEL | {
    "pixels",
    "runtime",
    "data",
    "checkpoint",
    "judging",
    "evaluation",
    "visualization",
    "engine",
}
# Room -> what it may import, besides itself and the bottom rooms; a dotted name is one file.
ROOMS = {
    "errors": set(),
    "utils": set(),
    "_detectron2": set(),
    "pixels": set(),
    "runtime": {"pixels"},
    "ops": set(),
    "structures": {"layers", "pixels"},
    "layers": {"ops"},
    "matching": {"ops", "layers", "structures"},
    "losses": {"ops", "layers", "matching", "structures"},
    "schemes": {"structures", "matching", "losses", "layers"},
    "modeling": MODEL,
    "data": {"structures", "pixels"},
    "checkpoint": {"modeling"},
    "evaluation": MODEL | {"data", "checkpoint", "judging"},
    "judging": set(),
    "report": {"judging", "pixels"},
    "visualization": MODEL | {"runtime", "data", "checkpoint"},
    "analysis": MODEL,
    "engine": TOP,
    "inference": TOP,
    "teachers": MODEL | {"inference"},
    "exporting": TOP | {"inference", "__version__"},
    "model_zoo": TOP | {"inference", "__version__"},
    "rehearsal": {"engine", "checkpoint"},
    "detector": TOP | {"inference", "exporting"},
    "doctor": {"ops", "__version__"},
    "configs": set(),
    "commands": TOP | {"report", "inference", "analysis", "exporting", "model_zoo", "rehearsal"},
    "__main__": {"__version__"},
    "__init__": set(),
    "projects": set(),
    "fallback": set(),
}
PROJECT = "hdetr_d2.projects"
# Only these know what a config is; everything else is a constructor that takes built parts.
READ_CONFIGS = {"engine", "inference", "model_zoo", "commands", "configs", "fallback"}


def module_name(path: Path) -> str:
    """The name within the package: `modeling.neck`; an `__init__` has the name of its folder."""
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room(name: str) -> str:
    return name.split(".")[0]


def imports(path: Path) -> Iterator[str]:
    """Absolute names of all that a file imports, anywhere in it; `from a import b` gives `a.b`."""
    here = ["hdetr_d2", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = here[: len(here) + 1 - node.level] if node.level else []
            prefix = ".".join([*start, node.module] if node.module else start)
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def within(name: str, prefixes: set[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_file_imports_only_the_rooms_below_it(path: Path) -> None:
    here = room(module_name(path))
    allowed = ROOMS[here] | {here} | (set() if here == "fallback" else BOTTOM)
    ours = {name.removeprefix("hdetr_d2.") for name in imports(path) if within(name, {"hdetr_d2"})}
    wrong = sorted(name for name in ours if not within(name, allowed))
    assert not wrong, f"{module_name(path)} may import {sorted(allowed)}, but imports {wrong}"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_only_those_above_the_model_know_configs(path: Path) -> None:
    if room(module_name(path)) in READ_CONFIGS:
        return
    wrong = [
        name for name in imports(path) if within(name, {"omegaconf", "hydra", "detectron2.config"})
    ]
    assert not wrong, f"{module_name(path)} imports {wrong}"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_the_lowest_rooms_stand_without_detectron2(path: Path) -> None:
    allowed = {"structures": {"detectron2.structures"}}
    here = room(module_name(path))
    if here in {"ops", "utils", "errors", "layers", "matching", "losses", "structures"}:
        theirs = {name for name in imports(path) if within(name, {"detectron2"})}
        wrong = sorted(name for name in theirs if not within(name, allowed.get(here, set())))
        assert not wrong, f"{module_name(path)} imports {wrong}"


PROJECTS = PACKAGE.parent / "projects"
OF_PROJECTS = [
    path
    for path in sorted(PROJECTS.rglob("*.py"))
    if "tests" not in path.relative_to(PROJECTS).parts
]


@pytest.mark.parametrize("path", OF_PROJECTS, ids=lambda path: str(path.relative_to(PROJECTS)))
def test_a_project_imports_no_other_project(path: Path) -> None:
    own = f"{PROJECT}.{path.relative_to(PROJECTS).parts[0]}"
    others = {
        name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and within(name := node.module or "", {PROJECT})
        if not within(name, {own})
    }
    assert not others


def test_every_folder_is_a_room_of_the_table() -> None:
    assert {room(module_name(path)) for path in FILES} <= set(ROOMS)
