"""How the kernels are built: with what, when not, and what is said about it.

Two libraries stand in the package: `_C` for the CPU and `_C_cuda`. They use the stable C interface
of PyTorch and no Python.h, so that one file serves every Python and every PyTorch, and one command
of a compiler makes each: nvcc knows its own toolkit, whichever CUDA PyTorch was built with. What
cannot be built stops nothing, since every operator has a form in pure PyTorch; the reason is
printed, and kept in `_build.json`. Variables of the environment (1 is yes):

HDETR_D2_SKIP_EXT     build nothing, whatever the others say
HDETR_D2_FORCE_EXT    stop where the CPU kernels cannot be built
FORCE_CUDA            build the CUDA kernels without a GPU, for all; stop where they cannot be built
CUDA_HOME             the CUDA toolkit, else the nvcc on the PATH, from PyPI, in /usr/local/cuda
TORCH_CUDA_ARCH_LIST  GPU architectures, such as "8.0;9.0+PTX", else those of the GPUs here
CXX, CXXFLAGS         the C++ compiler, and more flags for it
MAX_JOBS              how many GPU architectures are compiled at once
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from setuptools import Extension
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import SetupError

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "hdetr_d2"
RECORD = "_build.json"

# What every PyTorch from 2.10 on has; a later target would need a later PyTorch.
STABLE_ABI = "-DTORCH_TARGET_VERSION=0x020a000000000000"
OPTIMISE = ["-O3", "-fno-math-errno", "-fno-trapping-math"]  # -ffast-math would break isnan
# Vectors are passed to functions that are always inlined, for which no ABI is needed.
HOST = ["-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-psabi"]
# A symbol that nothing defines is an error here, and not where the library is loaded.
LINK = ["--as-needed", "-zdefs", "--exclude-libs=ALL"] if sys.platform == "linux" else []

# Turing to Blackwell. PTX of the last that a toolkit knows serves what comes after it.
ARCHITECTURES = ["7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "12.0"]

Env = Mapping[str, str]


class NotBuilt(Exception):
    """Why a library is not built, as what follows "because" in a sentence."""


@dataclass(frozen=True)
class Torch:
    """The PyTorch to build with: its CUDA (None in a CPU build), the capabilities of the GPUs that
    it finds ("9.0"), and where it is installed.
    """

    version: str
    cuda: str | None
    gpus: Sequence[str]
    folder: Path


@dataclass(frozen=True)
class Toolkit:
    """A CUDA toolkit: its compiler, its version, and the architectures that it knows ("9.0")."""

    nvcc: str
    version: str
    known: Sequence[str]


def find_compiler(env: Env, system: str = sys.platform) -> list[str]:
    """The command that compiles C++."""
    if env.get("HDETR_D2_SKIP_EXT") == "1":
        raise NotBuilt("HDETR_D2_SKIP_EXT=1 was set")
    if system != "linux" and env.get("HDETR_D2_FORCE_EXT") != "1":
        raise NotBuilt(f"{system} is not Linux (HDETR_D2_FORCE_EXT=1 tries all the same)")
    command = shlex.split(env.get("CXX") or "c++")
    if not shutil.which(command[0], path=env.get("PATH")):
        raise NotBuilt(f"no C++ compiler was found ({command[0]} is not on the PATH)")
    return command


def find_torch() -> Torch:
    try:
        import torch
    except Exception as error:  # a broken installation fails in its own way
        raise NotBuilt(f"PyTorch cannot be imported ({_telling_line(str(error))})") from error
    devices = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    gpus = {"{}.{}".format(*torch.cuda.get_device_capability(device)) for device in devices}
    return Torch(torch.__version__, torch.version.cuda, sorted(gpus), Path(torch.__file__).parent)


def find_toolkit(env: Env, packages: Path, default: str = "/usr/local/cuda") -> Toolkit:
    """The toolkit that the environment names; a wrong CUDA_HOME is told, not worked around. Else
    one that came from PyPI into `packages`, or that of the machine.
    """
    home = env.get("CUDA_HOME") or env.get("CUDA_PATH")
    installed = [*map(str, packages.glob("nvidia/cu*/bin")), f"{default}/bin"]
    folders = [f"{home}/bin"] if home else [env.get("PATH", os.defpath), *installed]
    nvcc = shutil.which("nvcc", path=os.pathsep.join(folders))
    if nvcc is None and home:
        raise NotBuilt(f"CUDA_HOME={home} has no bin/nvcc")
    if nvcc is None:
        raise NotBuilt(
            "no CUDA toolkit was found (CUDA_HOME is not set, and nvcc is neither on the PATH nor "
            f"in {default}/bin)"
        )
    target = Path(nvcc).resolve()
    if target.name == "nvcc":  # from a link, nvcc would not find its own files
        nvcc = str(target)
    release = re.search(r"release (\d+\.\d+)", _run([nvcc, "--version"]))
    known = re.findall(r"compute_(\d+)(\d)\b", _run([nvcc, "--list-gpu-arch"]))
    return Toolkit(nvcc, release[1] if release else "?", [".".join(arch) for arch in known])


def check_gpu(env: Env, torch: Torch) -> None:
    """Raises NotBuilt where the CUDA kernels could not be loaded, or nobody has asked for them."""
    if torch.cuda is None:
        raise NotBuilt(f"PyTorch {torch.version} is a build without CUDA")
    if not torch.gpus and env.get("FORCE_CUDA") != "1":
        raise NotBuilt("there is no GPU here (FORCE_CUDA=1 builds them nevertheless)")


def architectures(env: Env, known: Sequence[str], gpus: Sequence[str]) -> list[str]:
    """What to compile for: "9.0", or "9.0+PTX" for machine code and PTX of 9.0. Unless all are
    wanted (FORCE_CUDA=1), the GPUs that are here will do.
    """
    asked = env.get("TORCH_CUDA_ARCH_LIST", "").replace(";", " ").replace(",", " ").split()
    for arch in asked:
        if not re.fullmatch(r"\d+\.\d[af]?(\+PTX)?", arch):
            raise NotBuilt(f"TORCH_CUDA_ARCH_LIST has {arch!r} where 8.6 or 8.6+PTX is expected")
    if asked:
        return asked
    wanted = ARCHITECTURES if env.get("FORCE_CUDA") == "1" else gpus
    chosen = [arch for arch in wanted if arch in known] or _latest_before(wanted, known)
    return [*chosen[:-1], f"{chosen[-1]}+PTX"]


def _latest_before(gpus: Sequence[str], known: Sequence[str]) -> list[str]:
    """The latest whose PTX serves one of `gpus`, none of which the toolkit knows."""
    older = [arch for arch in known if float(arch) < max(map(float, gpus))]
    if not older:
        raise NotBuilt(
            f"the toolkit knows GPUs of capability {known[0]} and later, but those that are here "
            f"have {', '.join(gpus)}"
        )
    return older[-1:]


def cpu_command(compiler: Sequence[str], env: Env, files: Sequence[str]) -> list[str]:
    flags = [*shlex.split(env.get("CXXFLAGS", "")), "-std=c++17", *OPTIMISE, *HOST, STABLE_ABI]
    return [*compiler, "-shared", *flags, *(f"-Wl,{flag}" for flag in LINK), *files]


def cuda_command(
    toolkit: Toolkit, archs: Sequence[str], env: Env, files: Sequence[str]
) -> list[str]:
    """The CUDA runtime goes into the library, so that it needs none that PyTorch brings."""
    flags_of_host = [*shlex.split(env.get("CXXFLAGS", "")), *HOST]
    host = ["-Xcompiler", ",".join(flag.replace(",", "\\,") for flag in flags_of_host)]
    compiler = ["-ccbin", env["CXX"]] if env.get("CXX") else []
    jobs = f"--threads={env.get('MAX_JOBS') or os.cpu_count()}"
    flags = ["-std=c++17", "-O3", *compiler, *host, "-DUSE_CUDA", STABLE_ABI, jobs]
    link = [part for flag in LINK for part in ("-Xlinker", flag)]
    return [toolkit.nvcc, "-shared", "-cudart=static", *flags, *_gencode(archs), *link, *files]


def _gencode(archs: Sequence[str]) -> list[str]:
    flags = []
    for arch in archs:
        number = arch.removesuffix("+PTX").replace(".", "")
        for code in ["sm", "compute"] if arch.endswith("+PTX") else ["sm"]:
            flags.append(f"-gencode=arch=compute_{number},code={code}_{number}")
    return flags


def _files(
    torch: Torch, sources: Sequence[str], output: str, libraries: Sequence[str]
) -> list[str]:
    """The end of a command. Of PyTorch's headers, unlike of ours, no warning is wanted."""
    link = [f"-L{torch.folder / 'lib'}", *(f"-l{name}" for name in libraries)]
    return ["-isystem", str(torch.folder / "include"), *sources, "-o", output, *link]


def _run(command: Sequence[str]) -> str:
    """What a command says, or NotBuilt with the line that tells why it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise NotBuilt(f"{command[0]} cannot be run ({error.strerror})") from error
    sys.stderr.write(done.stderr)
    if done.returncode:
        print("The command was:", shlex.join(command), file=sys.stderr)
        raise NotBuilt(f"{command[0]} failed ({_telling_line(done.stderr)})")
    return done.stdout


def _telling_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["it said nothing"]
    telling = (line for line in lines if re.search(r"\b(error|cannot|Killed)\b", line))
    return next(telling, lines[-1])


def build_cpu(env: Env, sources: Sequence[str], output: str) -> dict[str, Any]:
    """Makes `_C`, and says what is to be recorded of it.

    Raises:
        NotBuilt: it cannot or shall not be made.
    """
    compiler = find_compiler(env)
    torch = find_torch()
    _run(cpu_command(compiler, env, _files(torch, sources, output, ["torch_cpu", "c10"])))
    return {"cpu": True, "torch": torch.version}


def build_cuda(env: Env, sources: Sequence[str], output: str) -> dict[str, Any]:
    """Makes `_C_cuda`; else like `build_cpu`."""
    find_compiler(env)
    torch = find_torch()
    check_gpu(env, torch)
    toolkit = find_toolkit(env, torch.folder.parent)
    archs = architectures(env, toolkit.known, torch.gpus)
    files = _files(torch, sources, output, ["torch_cuda", "torch_cpu", "c10"])
    _run(cuda_command(toolkit, archs, env, files))
    return {"cuda": toolkit.version, "archs": archs}


@dataclass(frozen=True)
class Kernels:
    """One library: its sources, what makes it, and the variables that insist that it is made."""

    library: str
    sources: Sequence[str]
    build: Callable[[Env, Sequence[str], str], dict[str, Any]]
    force: Sequence[str]

    def extension(self) -> Extension:
        found = [path for pattern in self.sources for path in (ROOT / "csrc").glob(pattern)]
        names = sorted(path.relative_to(ROOT).as_posix() for path in found)
        name = f"{PACKAGE}.{self.library}"
        return Extension(name, names, py_limited_api=True, optional=True)


KERNELS = {
    "cpu": Kernels(
        "_C",
        ["*_cpu.cpp", "*_cpu_binding.cpp"],
        build_cpu,
        # This library declares the operators: without it the other one is of no use.
        ["HDETR_D2_FORCE_EXT", "FORCE_CUDA"],
    ),
    "cuda": Kernels("_C_cuda", ["*_cuda.cu", "*_cuda_binding.cpp"], build_cuda, ["FORCE_CUDA"]),
}


def attempt(kind: str, env: Env, sources: Sequence[str], output: str) -> dict[str, Any]:
    """Builds the library of `kind` if that can be, and says what is to be recorded.

    Raises:
        SetupError: it cannot be, and the environment insists.
    """
    kernels = KERNELS[kind]
    try:
        return kernels.build(env, sources, output)
    except NotBuilt as reason:
        insisting = [name for name in kernels.force if env.get(name) == "1"]
        if insisting and env.get("HDETR_D2_SKIP_EXT") != "1":
            message = f"{insisting[0]}=1, but the {kind.upper()} kernels cannot be built: {reason}"
            raise SetupError(message) from None
        return {f"{kind}_reason": str(reason)}


def summary(record: Mapping[str, Any]) -> str:
    """The one line that tells what was built."""
    parts = []
    for kind in KERNELS:
        done = "built" if record[kind] else f"skipped, because {record[f'{kind}_reason']}"
        parts.append(f"{kind.upper()} kernels: {done}")
    return f"{PACKAGE}: {'; '.join(parts)}"


def needs_torch(env: Env) -> bool:
    """Whether PyTorch is missing to build what can be built."""
    try:
        find_compiler(env)
    except NotBuilt:
        return False
    return find_spec("torch") is None


def extensions() -> list[Extension]:
    return [kernels.extension() for kernels in KERNELS.values()]


class BuildKernels(build_ext):
    """Makes the libraries that can be made, and records what became of each."""

    def run(self) -> None:
        folders = [Path(self.build_lib, PACKAGE), *([ROOT / PACKAGE] if self.inplace else [])]
        for folder in folders:
            _clear(folder)
        super().run()
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / RECORD).write_text(json.dumps(self.record, indent=2) + "\n", encoding="utf-8")
        print(summary(self.record))

    def build_extensions(self) -> None:
        self.record: dict[str, Any] = {"torch": None, "cpu": False, "cuda": None, "archs": []}
        for kind, extension in zip(KERNELS, self.extensions, strict=True):
            output = Path(self.get_ext_fullpath(extension.name))
            output.parent.mkdir(parents=True, exist_ok=True)
            self.record |= attempt(kind, os.environ, extension.sources, str(output))


def _clear(folder: Path) -> None:
    """What an earlier build left would be taken for this one's."""
    for name in [RECORD, *(f"{kernels.library}.*" for kernels in KERNELS.values())]:
        for file in folder.glob(name):
            file.unlink()


class Wheel(bdist_wheel):
    """A wheel for every Python from 3.10 on; for every machine, too, where nothing is compiled."""

    def finalize_options(self) -> None:
        if not sysconfig.get_config_var("Py_GIL_DISABLED"):
            self.py_limited_api = "cp310"
        super().finalize_options()

    def get_tag(self) -> tuple[str, str, str]:
        if os.environ.get("HDETR_D2_SKIP_EXT") == "1":
            return "py3", "none", "any"
        return super().get_tag()
