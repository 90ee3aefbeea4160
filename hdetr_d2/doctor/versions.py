"""What is installed."""

from hdetr_d2 import __version__, _detectron2

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]


def versions() -> Iterator[tuple[str, str]]:
    """Name and version, or location, of everything that matters."""
    yield "hdetr_d2", f"{__version__} ({ROOT / 'hdetr_d2'})"
    yield "Python", f"{platform.python_version()} on {platform.platform()}"
    yield "PyTorch", f"{torch.__version__}, {_cuda_of_torch()}"
    for package in ("torchvision", "timm"):
        yield package, _installed(package)
    yield "Detectron2", _detectron2.describe()
    yield "C++ compiler", _first_line([(os.environ.get("CXX") or "c++").split()[0], "--version"])
    yield "nvcc", _nvcc()
    yield "CPU", f"{platform.machine()}, {_vectors()}, {torch.get_num_threads()} threads"
    yield (
        "driver",
        _first_line(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]),
    )
    yield from _devices()


def _cuda_of_torch() -> str:
    return f"CUDA {torch.version.cuda}" if torch.version.cuda else "a build without CUDA"


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _first_line(command: Sequence[str], containing: str = "") -> str:
    """The first line of a command's output `containing` something, or why there is none."""
    if not shutil.which(command[0]):
        return f"{command[0]} was not found"
    done = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in (done.stdout or done.stderr).splitlines() if containing in line]
    return lines[0].strip() if lines else f"{command[0]} says nothing"


def _nvcc() -> str:
    """The one that the build uses."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    packages = [str(path) for path in Path(torch.__file__).parents[1].glob("nvidia/cu*/bin")]
    folders = [os.environ.get("PATH", os.defpath), *packages, "/usr/local/cuda/bin"]
    nvcc = shutil.which("nvcc", path=f"{home}/bin" if home else os.pathsep.join(folders))
    if nvcc is None:
        return f"not found in {home}/bin" if home else "not found"
    return f"{nvcc}, {_first_line([nvcc, '--version'], containing='release')}"


def _vectors() -> str:
    bits = getattr(torch.ops.hdetr_d2, "cpu_vector_bits", None)  # None without a library
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{capability}, the kernels use vectors of {bits()} bits" if bits else capability


def _devices() -> Iterator[tuple[str, str]]:
    if not torch.cuda.is_available():
        yield "GPU", _why_no_gpu()
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        capability = f"capability {device.major}.{device.minor}"
        memory = f"{device.total_memory / 2**30:.0f} GiB"
        yield f"GPU {index}", f"{device.name}, {capability}, {memory}"


def _why_no_gpu() -> str:
    """PyTorch distinguishes a missing driver from one that is too old."""
    try:
        torch.cuda.init()
    except Exception as error:  # AssertionError in a build without CUDA, otherwise RuntimeError
        return f"none ({str(error).strip().splitlines()[0]})"
    return "none"


# ---- what is built
