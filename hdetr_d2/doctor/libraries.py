"""What is built."""

import sys
from pathlib import Path

import torch

from hdetr_d2.ops import extension
from hdetr_d2.ops.extension import Library

ROOT = Path(__file__).resolve().parents[2]


def is_useless(library: Library) -> bool:
    """Whether the library can never be loaded: a PyTorch without CUDA lacks what it needs."""
    return library is extension.CUDA and torch.version.cuda is None


def state(library: Library) -> str:
    """What it is built for, whether it is loaded, and if not, why."""
    facts = extension.build_facts()
    if library.path is None:
        reason = facts.get("cpu_reason" if library is extension.CPU else "cuda_reason")
        return f"not built, because {reason or 'nothing was tried'}{_how_to_build(library)}"
    if library.error is not None:
        useless = "; they need a PyTorch with CUDA" if is_useless(library) else ""
        return f"not loaded: {extension.whole(library.error)}{useless}"
    archs = "" if library is extension.CPU else f" for {', '.join(facts.get('archs', []))}"
    return f"built with PyTorch {facts.get('torch')}{archs}, loaded from {library.path}"


def _how_to_build(library: Library) -> str:
    if is_useless(library):
        return ""
    force = "HDETR_D2_FORCE_EXT=1" if library is extension.CPU else "FORCE_CUDA=1"
    source = f"--editable {ROOT}" if (ROOT / "setup.py").exists() else "--force-reinstall <source>"
    pip = f"{sys.executable} -m pip install --no-cache-dir --no-build-isolation --no-deps {source}"
    return f". To build them: {force} {pip}"
