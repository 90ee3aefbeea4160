"""The CUDA kernels on the CPU: `cuda_emulation` compiles the same files with g++ and runs every
thread as a fiber."""

import ctypes
import functools
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

EMULATION = Path(__file__).resolve().parent / "cuda_emulation"
CSRC = EMULATION.parents[2] / "csrc"


@pytest.fixture(scope="session")
def emulate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ctypes.CDLL]:
    """The CUDA kernels of an operator, and the functions of `<operator>_driver.cpp` to run them."""

    @functools.cache
    def build(op: str) -> ctypes.CDLL:
        if shutil.which("g++") is None:
            pytest.skip("The emulation of the CUDA kernels needs g++.")
        library = tmp_path_factory.mktemp("cuda_emulation") / f"{op}.so"
        drivers = [EMULATION / "emulation.cpp", EMULATION / f"{op}_driver.cpp"]
        sources = [*sorted(CSRC.glob(f"{op}*_cuda.cu")), *drivers]
        # Not optimised: it would take longer than all tests that follow.
        flags = ["-std=c++17", "-O0", "-shared", "-fPIC", "-Wno-unknown-pragmas"]
        flags += ["-D__CUDA_ARCH__=900", f"-I{EMULATION}", f"-I{CSRC}"]
        subprocess.run(["g++", *flags, "-o", library, "-x", "c++", *sources], check=True)
        return ctypes.CDLL(str(library))

    return build
