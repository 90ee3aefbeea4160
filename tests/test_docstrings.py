"""The sections of docstrings: in order, and errors where a reader looks for them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ORDER = ["Args", "Yields", "Returns", "Raises"]
HEADER = re.compile(r"(\w+)(?: \(.*\))?:")
ERROR = re.compile(r"\s*\w*(?:Error|Exception):")


def faults_of(docstring: str) -> Iterator[str]:
    """The lines that stand in a section where they do not belong."""
    section, seen = "", list[str]()
    for line in docstring.splitlines():
        header = HEADER.fullmatch(line)
        if header is not None and header[1] in ORDER:
            section = header[1]
            seen.append(section)
        elif line and not line.startswith(" "):
            section = ""
        elif section == "Raises" and re.match(r" {4}\S", line):
            if not re.match(r" {4}[\w., ]+:", line):
                yield line
        elif ERROR.match(line):
            yield line
    if seen != sorted(set(seen), key=ORDER.index):
        yield f"sections {', '.join(seen)}"


def test_faults_of_a_docstring() -> None:
    """A right one, and those of sections that were mixed up."""
    sections = (
        "Args:\n    a: one.\n\nReturns:\n    The sum.\n\nRaises:\n    OSError: no\n        disk."
    )
    right = f"Sum.\n\n{sections}"
    assert list(faults_of(right)) == []
    assert list(faults_of("Sum.\n\nRaises (later):\n    OSError: no disk.")) == []
    assert list(faults_of("Sum.\n\nReturns:\n    OSError: no disk.")) == ["    OSError: no disk."]
    assert list(faults_of("Sum.\n\nRaises:\n    The sum of all.")) == ["    The sum of all."]
    assert list(faults_of("Sum.\n\nRaises:\n    OSError: no.\n\nArgs:\n    a: one.")) == [
        "sections Raises, Args"
    ]


@pytest.mark.parametrize("room", ["hdetr_d2", "projects"])
def test_sections_hold_what_they_say(room: str) -> None:
    found = []
    for path in sorted((ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                name = getattr(node, "name", "")
                faults = faults_of(ast.get_docstring(node) or "")
                found += [f"{path.relative_to(ROOT)} {name}: {fault}" for fault in faults]
    assert found == []
