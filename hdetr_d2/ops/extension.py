"""The compiled libraries, loaded once when this package is imported, if they exist. Nothing is
compiled here, and nothing fails: errors are stored and reported when a kernel is needed.
"""

import functools
import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

_PACKAGE = Path(__file__).resolve().parents[1]
_KINDS = {"_C": "cpu", "_C_cuda": "cuda"}
# File endings of shared libraries on Linux and macOS, and on Windows.
_ENDINGS = {".so", ".dylib", ".pyd", ".dll"}


@dataclass(frozen=True)
class Library:
    """A compiled library of this package.

    name: `_C` (schemas and CPU kernels) or `_C_cuda`. path: its file, or None if it was not built.
    error: the exception raised by loading it.
    """

    name: str
    path: Path | None
    error: Exception | None

    @property
    def loaded(self) -> bool:
        return self.path is not None and self.error is None


def _load(name: str) -> Library:
    files = (path for path in sorted(_PACKAGE.glob(f"{name}.*")) if path.suffix in _ENDINGS)
    path = next(files, None)
    if path is None:
        return Library(name, None, None)
    try:
        torch.ops.load_library(path)
    except Exception as error:  # whatever it is: the operators work in PyTorch without the library
        return Library(name, path, error)
    return Library(name, path, None)


CPU = _load("_C")
CUDA = _load("_C_cuda")


def build_facts() -> dict:
    """What the build recorded beside the libraries: torch, cuda, archs, cpu, and the cpu_reason and
    cuda_reason for what is missing; empty if there was no build.
    """
    try:
        facts = json.loads((_PACKAGE / "_build.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def why_not(library: Library) -> str:
    """One sentence on why `library` is not loaded: "The CUDA kernels are not built: no nvcc.";
    empty if it is.
    """
    kind = _KINDS[library.name]
    kernels = f"The {kind.upper()} kernels"
    if library.path is None:
        reason = build_facts().get(f"{kind}_reason") or ""
        return f"{kernels} are not built: {reason}".rstrip(": .") + "."
    if library.error is None:
        return ""
    return f"{kernels} ({library.path}) failed to load: {whole(library.error).rstrip('.')}."


def whole(error: BaseException) -> str:
    """The error and its cause: PyTorch wraps the one that names the missing file."""
    cause = f" ({whole(error.__cause__)})" if error.__cause__ else ""
    return f"{type(error).__name__}: {error}{cause}"


def why_no_kernel(op: str, device: torch.device) -> str:
    """One sentence on why the compiled `op` cannot run on `device`; empty if it can."""
    if device.type not in ("cpu", "cuda", "meta"):
        return f"There are no kernels for {device.type} devices."
    if not _has_kernel(op, device.type):
        # The library with the schemas first: without it the other one is useless.
        missing = why_not(CPU) or (why_not(CUDA) if device.type == "cuda" else "")
        none = f"The compiled libraries have no {op} for {device.type} devices"
        return missing or f"{none}; if they are older than the package, build them again."
    return _device_gap(device.index or 0) if device.type == "cuda" else ""


def is_defined(op: str) -> bool:
    """Whether a loaded library has the schema of `op`."""
    return hasattr(torch.ops.hdetr_d2, op)


def _has_kernel(op: str, device: str) -> bool:
    if not is_defined(op) or device == "meta":  # on "meta" the schema is sufficient
        return is_defined(op)
    key = getattr(torch._C.DispatchKey, device.upper())
    return getattr(torch.ops.hdetr_d2, op).default.has_kernel_for_dispatch_key(key)


@functools.cache
def _device_gap(index: int) -> str:
    if not torch.cuda.is_available():  # a fake tensor on a device that this machine lacks
        return ""
    return _driver_gap() or _capability_gap(index)


def _driver_gap() -> str:
    """The kernels link their own CUDA runtime, which runs on drivers of its major version or later,
    whichever runtime PyTorch uses.
    """
    driver, built = _cuda_versions()
    if driver[0] >= built[0]:
        return ""
    return (
        f"The CUDA kernels are built with CUDA {built[0]}.{built[1]}, but the NVIDIA driver "
        f"supports no later CUDA than {driver[0]}.{driver[1]}."
    )


def _cuda_versions() -> tuple[tuple[int, int], tuple[int, int]]:
    """(major, minor) of the latest CUDA version that the driver supports, and of the kernels'
    version; equal if the library is too old to tell.
    """
    versions = torch.ops.hdetr_d2.cuda_versions() if is_defined("cuda_versions") else (0, 0)
    driver, built = ((number // 1000, number % 1000 // 10) for number in versions)
    return driver, built


def _capability_gap(index: int) -> str:
    capability = torch.cuda.get_device_capability(index)
    archs = build_facts().get("archs") or []
    # Without a list nothing can be predicted: an unsuitable kernel raises when it is launched.
    if not archs or covers(archs, capability):
        return ""
    name = torch.cuda.get_device_name(index)
    return (
        f"The CUDA kernels are built for {', '.join(archs)}, but {name} has the capability "
        f"{capability[0]}.{capability[1]}."
    )


def covers(archs: Sequence[str], capability: tuple[int, int]) -> bool:
    """Whether code for `archs` ("8.0", "9.0+PTX") runs on a device of `capability`: machine code
    within its major version, PTX on everything newer, and "9.0a" on 9.0 only.
    """
    major, minor = capability
    for arch in archs:
        found = re.fullmatch(r"(\d+)\.(\d+)([af]?)(\+PTX)?", arch)
        if found is None:
            continue
        built = int(found[1]), int(found[2])
        if built == capability:
            return True
        same_family = built[0] == major and built[1] < minor
        if found[3] != "a" and (same_family or (found[4] and built < capability)):
            return True
    return False


@functools.cache
def warn_of_fallback(op: str, how: str, reason: str) -> bool:
    """Warns once that `op` runs `how` ("by SciPy on the host, much slower"), and for which reason;
    no warning if the reason is empty. Returns whether there is a reason.
    """
    if reason:
        warnings.warn(
            f"{op} runs {how}: {reason} `python -m hdetr_d2.doctor` tells what is built and why.",
            stacklevel=4,
        )
    return bool(reason)
