"""The CPU kernels under AddressSanitizer and UndefinedBehaviorSanitizer, on random sizes; and the
assignment on large problems, with a certificate."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

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


# `<op>_random.cpp` draws problems for the kernels of `<op>_cpu.cpp` and checks what they answer.
DRIVERS = sorted(path.stem.removesuffix("_random") for path in HERE.glob("*_random.cpp"))


def build(command: list[str], op: str, folder: Path) -> Path:
    output = folder / op
    sources = [CSRC / f"{op}_cpu.cpp", HERE / f"{op}_random.cpp"]
    done = run([*command, *sources, "-o", output])
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module", params=DRIVERS)
def program(
    request: pytest.FixtureRequest, compiler: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return build([*compiler, *FLAGS], request.param, tmp_path_factory.mktemp("kernels"))


@pytest.mark.parametrize("capability", ["default", "avx2", "avx512"])
def test_the_kernels_stay_within_their_arrays(program: Path, capability: str) -> None:
    # Variables: PyTorch's own, for the instruction set; leaks are not looked for, since a debugger
    # or a container may forbid it.
    variables = dict(ATEN_CPU_CAPABILITY=capability, ASAN_OPTIONS="detect_leaks=0")
    done = run([*FIXED_ADDRESSES, program, "0", str(CASES)], **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{CASES} cases" in done.stdout


@pytest.fixture(scope="module")
def assignment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    command = shlex.split(os.environ.get("CXX") or "c++")
    if not shutil.which(command[0]):
        pytest.skip(f"there is no C++ compiler ({command[0]})")
    flags = ["-std=c++17", "-O2", "-Wno-psabi", f"-I{CSRC}"]
    return build([*command, *flags], "batched_assignment", tmp_path_factory.mktemp("certificate"))


@pytest.mark.parametrize(
    "targets, queries, capacity, lowest, span",
    [
        (600, 25_000, 6, 0.0, 1.0),
        (100, 1500, 6, -1e30, 2e30),
        (100, 1500, 6, 0.0, 1e-30),
        (100, 1500, 6, 1e4, 1.0),
    ],
)
def test_a_large_assignment_comes_with_a_certificate(
    assignment: Path, targets: int, queries: int, capacity: int, lowest: float, span: float
) -> None:
    problem = map(str, (targets, queries, capacity, lowest, span))
    done = run([assignment, "0", "0", *problem])
    assert done.returncode == 0, done.stdout
