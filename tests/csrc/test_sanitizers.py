"""The CPU kernels under AddressSanitizer and UndefinedBehaviorSanitizer, on random sizes."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CSRC = HERE.parents[1] / "csrc"
CASES = 100
SANITIZE = ["-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"]
# Without optimisation the kernels are compiled in a quarter of the time.
FLAGS = ["-std=c++17", "-O0", "-Wno-psabi", *SANITIZE, f"-I{CSRC}"]


def run(command: list, **variables: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


# Some kernels randomise addresses more than the sanitizers of some compilers can stand.
FIXED_ADDRESSES = ["setarch", "-R"]
if not shutil.which("setarch") or run([*FIXED_ADDRESSES, "true"]).returncode:
    FIXED_ADDRESSES = []


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of a compiler whose sanitizers run here."""
    command = shlex.split(os.environ.get("CXX") or "c++")
    if not shutil.which(command[0]):
        pytest.skip(f"there is no C++ compiler ({command[0]})")
    folder = tmp_path_factory.mktemp("sanitizer")
    (folder / "empty.cpp").write_text("int main() {}\n")
    program = str(folder / "empty")
    if run([*command, *FLAGS, str(folder / "empty.cpp"), "-o", program]).returncode:
        pytest.skip(f"{command[0]} has no sanitizers")
    if run([*FIXED_ADDRESSES, program]).returncode:
        pytest.skip("programs with sanitizers do not run here")
    return command


@pytest.fixture(scope="module")
def program(compiler: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("kernels") / "ms_deform_attn_random"
    sources = [CSRC / "ms_deform_attn_cpu.cpp", HERE / "ms_deform_attn_random.cpp"]
    done = run([*compiler, *FLAGS, *sources, "-o", output])
    assert done.returncode == 0, done.stderr
    return output


@pytest.mark.parametrize("capability", ["default", "avx2", "avx512"])
def test_the_kernels_stay_within_their_arrays(program: Path, capability: str) -> None:
    # Variables: PyTorch's own, for the instruction set; leaks are not looked for, since a debugger
    # or a container may forbid it.
    variables = dict(ATEN_CPU_CAPABILITY=capability, ASAN_OPTIONS="detect_leaks=0")
    done = run([*FIXED_ADDRESSES, program, "0", str(CASES)], **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{CASES} cases" in done.stdout
