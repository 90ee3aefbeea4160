"""Trainings of `tiny_recipe.py` in separate processes, started like any other."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

RECIPE = Path(__file__).with_name("tiny_recipe.py")
TAIL = 2**16  # bytes at the end of metrics.json that contain its last line


def start_training(folder: Path, name: str, *overrides: str, threads: int) -> subprocess.Popen:
    """Starts, or continues, the run `name` in a folder with the images of all its runs."""
    command = [sys.executable, "-m", "hdetr_d2", "train", "--config-file", str(RECIPE), "--resume"]
    command += [f"data.generate.root={folder}/data", f"train.output_dir={folder}/{name}"]
    return start([*command, *overrides], folder / f"{name}.txt", threads=threads)


def start(command: list[str], said: Path, *, threads: int, **environment: str) -> subprocess.Popen:
    """A process whose messages are appended to a file."""
    given = {**os.environ, "OMP_NUM_THREADS": str(threads), **environment}
    with said.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=given)


def finish(process: subprocess.Popen, said: Path, *also: int) -> None:
    """Waits for the end, with status 0 or one of these; otherwise this process ends with the last
    message of the other.
    """
    if process.wait() not in (0, *also):
        last = said.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise SystemExit(f"{last}\nA process ended with status {process.returncode}.")


def written_rows(run: Path) -> list[dict[str, Any]]:
    """The complete lines that the run has written about its steps."""
    return _rows((run / "metrics.json").read_bytes())


def last_iteration(run: Path) -> int:
    """From the last line that the run has written; -1 if there is none."""
    try:
        with (run / "metrics.json").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            rows = _rows(file.read())
    except FileNotFoundError:
        return -1
    return rows[-1]["iteration"] if rows else -1


def _rows(text: bytes) -> list[dict[str, Any]]:
    lines = (line for line in text.splitlines(keepends=True) if line.endswith(b"}\n"))
    return [json.loads(line) for line in lines if line.startswith(b"{")]
