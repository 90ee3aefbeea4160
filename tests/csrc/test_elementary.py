"""The elementary functions of the kernels against float64."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize("flags", [[], ["-mavx2", "-mfma"]], ids=["baseline", "avx2"])
def test_errors_of_two_units_of_the_last_place_at_most(flags: list[str], tmp_path: Path) -> None:
    command = shlex.split(os.environ.get("CXX") or "c++")
    if not shutil.which(command[0]):
        pytest.skip(f"there is no C++ compiler ({command[0]})")
    program = tmp_path / "errors"
    include = f"-I{HERE.parents[1] / 'csrc'}"
    sources = ["-std=c++17", "-O2", "-Wno-psabi", include, HERE / "elementary_errors.cpp"]
    if subprocess.run([*command, *flags, *sources, "-o", program]).returncode:
        assert flags, "the headers do not compile"
        pytest.skip(f"{command[0]} does not know {flags}")
    done = subprocess.run([program], capture_output=True, text=True)
    if flags and done.returncode < 0:
        pytest.skip(f"this processor does not know {flags}")
    assert done.returncode == 0, done.stdout
    exp, log1p = map(float, done.stdout.split())
    assert exp < 2
    assert log1p < 2
