"""Another commit as a side."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from against import built, served

SERVER = """
import sys
sys.path.insert(0, {folder!r})
from against import serve
turns = []
def side():
    turns.append(1)
    open({log!r}, "w").write(str(len(turns)))
    {extra}
serve(side)
"""


def server(log: Path, extra: str = "") -> list[str]:
    folder = str(Path(__file__).resolve().parents[2] / "benchmarks")
    return [sys.executable, "-c", SERVER.format(folder=folder, log=str(log), extra=extra)]


def test_a_process_takes_a_turn_when_it_is_asked_to(tmp_path: Path) -> None:
    log = tmp_path / "turns"
    with served(server(log), os.environ) as turn:
        for number in (1, 2, 3):
            turn()
            assert log.read_text() == str(number)


def test_a_process_that_ends_ends_the_run(tmp_path: Path) -> None:
    command = server(tmp_path / "turns", "sys.exit(3)")
    with served(command, os.environ) as turn, pytest.raises(SystemExit, match="ended"):
        turn()


def test_an_unknown_commit_is_named() -> None:
    with pytest.raises(SystemExit, match="failed: "), built("no-such-commit"):
        pass
