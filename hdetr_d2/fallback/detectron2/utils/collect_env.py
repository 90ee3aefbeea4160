"""What a bug report should say about the machine."""

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import detectron2
import torch
from detectron2._subset import absent
from tabulate import tabulate

__all__ = ["collect_env_info"]

__getattr__ = absent(__name__)

_PACKAGES = (
    "torchvision",
    "numpy",
    "fvcore",
    "iopath",
    "omegaconf",
    "pycocotools",
    "pillow",
)


def collect_env_info() -> str:
    """A table of the platform, the versions and the GPUs."""
    return tabulate(list(_rows()))


def _rows() -> Iterator[tuple[str, str]]:
    yield "sys.platform", f"{sys.platform} ({platform.machine()})"
    yield "Python", sys.version.replace("\n", "")
    yield "detectron2", f"stand-in @{Path(detectron2.__file__).parent}"
    for package in _PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield package, "not installed"
    yield "torch", f"{torch.__version__} (CUDA {torch.version.cuda})"
    for index in range(torch.cuda.device_count()):
        yield f"GPU {index}", torch.cuda.get_device_name(index)
