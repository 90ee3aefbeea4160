"""`python -m hdetr_d2.doctor`: what is installed, what is built, and whether it computes rightly.

It runs whatever is missing. The exit status is 1 if something is built but does not work.
"""

from hdetr_d2 import __version__, _detectron2

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor

from hdetr_d2.ops import (
    CostWeights,
    FocalCost,
    SoftmaxCost,
    batched_assignment,
    batched_assignment_reference,
    extension,
    matching_cost,
    matching_cost_reference,
    ms_deform_attn,
    ms_deform_attn_reference,
    sigmoid_focal_loss,
    sigmoid_focal_loss_reference,
)
from hdetr_d2.ops.extension import Library

ROOT = Path(__file__).resolve().parents[1]
# Largest error, as a part of the largest number: a little more than one rounding of the result.
TOLERANCES = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.float16: 2e-3,
    torch.bfloat16: 2e-2,
}


@dataclass(frozen=True)
class Check:
    """One line of the self-test."""

    name: str
    passed: bool
    detail: str

    def __str__(self) -> str:
        return f"{'PASS' if self.passed else 'FAIL'}  {self.name}: {self.detail}"


# ---- what is there


def versions() -> Iterator[tuple[str, str]]:
    """Name and version, or place, of everything that matters."""
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
    """The first line that a command prints `containing` something, or why there is none."""
    if not shutil.which(command[0]):
        return f"{command[0]} was not found"
    done = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in (done.stdout or done.stderr).splitlines() if containing in line]
    return lines[0].strip() if lines else f"{command[0]} says nothing"


def _nvcc() -> str:
    """The one that the build takes."""
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
    """PyTorch tells a missing driver from one that is too old."""
    try:
        torch.cuda.init()
    except Exception as error:  # AssertionError in a build without CUDA, else RuntimeError
        return f"none ({str(error).strip().splitlines()[0]})"
    return "none"


# ---- what is built


def is_useless(library: Library) -> bool:
    """Whether no such library can be loaded: a PyTorch without CUDA lacks what it needs."""
    return library is extension.CUDA and torch.version.cuda is None


def state(library: Library) -> str:
    """Built for what, loaded or not, and why not."""
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


# ---- whether it computes rightly


def deformable_attention(dtype: torch.dtype, channels: int) -> tuple[list[Tensor], tuple]:
    """Arguments of `ms_deform_attn`: tensors, and level sizes. No point is near the border of a
    cell, where the derivative jumps; some are outside of the level.
    """
    rng = torch.Generator().manual_seed(0)
    shapes = ((24, 31), (12, 16), (5, 7))
    batch, queries, heads, points = 2, 50, 3, 5
    value = torch.randn(batch, sum(h * w for h, w in shapes), heads, channels, generator=rng)
    sizes = torch.tensor([(w, h) for h, w in shapes])[:, None]  # [L, 1, 2]
    place = torch.rand(2, batch, queries, heads, len(shapes), points, 2, generator=rng)
    cell = (place[0] * (sizes + 3)).floor() - 2
    locations = (cell + 0.1 + 0.8 * place[1] + 0.5) / sizes
    weights = torch.rand(batch, queries, heads, len(shapes), points, generator=rng)
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    return [value.to(dtype), locations.to(exact), weights.to(dtype)], shapes


def _attend(op: Callable, tensors: Sequence[Tensor], shapes: tuple) -> list[Tensor]:
    """The output of `op` and the gradients of its tensors."""
    value, locations, weights = leaves = [t.detach().requires_grad_() for t in tensors]
    output = op(value, shapes, locations, weights)
    ramp = torch.linspace(-1, 1, output.numel()).view(output.shape)
    return [output.detach(), *torch.autograd.grad(output, leaves, ramp.to(output))]


def check_deformable_attention(device: torch.device, dtype: torch.dtype) -> Check:
    """The kernels against their twin in float64 on the CPU; 5 channels fill no vector."""
    errors = []
    for channels in (32, 5):
        tensors, shapes = deformable_attention(dtype, channels)
        wanted = _attend(ms_deform_attn_reference, [t.double() for t in tensors], shapes)
        got = _attend(ms_deform_attn, [t.to(device) for t in tensors], shapes)
        errors += [_error(a, b) for a, b in zip(got, wanted, strict=True)]
    worst = max(errors)
    name = f"ms_deform_attn on {device}, {str(dtype).removeprefix('torch.')}"
    return Check(name, worst <= TOLERANCES[dtype], f"forward and backward, error {worst:.1e}")


def _error(got: Tensor, wanted: Tensor) -> float:
    """Largest difference as a part of the largest number; infinite for NaN."""
    difference = (got.double().cpu() - wanted).abs().max() / wanted.abs().max()
    return difference.nan_to_num(torch.inf).item()


def check_determinism(device: torch.device) -> Check:
    tensors, shapes = deformable_attention(torch.float32, 32)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        runs = [_attend(ms_deform_attn, [t.to(device) for t in tensors], shapes) for _ in range(2)]
    finally:
        torch.use_deterministic_algorithms(before)
    same = all(torch.equal(a, b) for a, b in zip(*runs, strict=True))
    detail = f"two runs are {'equal' if same else 'not equal'} to the bit"
    return Check(f"ms_deform_attn on {device}, deterministic", same, detail)


def check_matching_cost(device: torch.device) -> Check:
    """The kernels against their twin on the CPU, with both class costs that they know."""
    rng = torch.Generator().manual_seed(0)
    logits, boxes = torch.randn(4, 100, 11, generator=rng), torch.rand(4, 100, 4, generator=rng)
    labels = torch.randint(11, (2, 20), generator=rng)
    target_boxes = torch.rand(2, 20, 4, generator=rng)
    tensors = (logits, boxes, labels, target_boxes, torch.tensor([20, 20]))
    weights, errors = CostWeights(2.0, 5.0, 2.0), []
    for form in (FocalCost(), SoftmaxCost()):
        wanted, _ = matching_cost_reference(*tensors, class_cost=form, weights=weights)
        moved = (tensor.to(device) for tensor in tensors)
        got, _ = matching_cost(*moved, class_cost=form, weights=weights)
        errors.append(_error(got, wanted))
    worst = max(errors)
    detail = f"focal and softmax, error {worst:.1e}"
    return Check(f"matching_cost on {device}", worst <= TOLERANCES[torch.float32], detail)


def check_focal_loss(device: torch.device) -> Check:
    """The kernels against their twin in float64 on the CPU."""
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 300, 11, generator=rng)
    labels = torch.randint(-2, 11, (2, 2, 300), generator=rng)

    def learn(op: Callable, logits: Tensor, labels: Tensor) -> list[Tensor]:
        leaf = logits.requires_grad_()
        loss = op(leaf, labels)
        return [loss.detach(), *torch.autograd.grad(loss.sum(), leaf)]

    wanted = learn(sigmoid_focal_loss_reference, logits.double(), labels)
    got = learn(sigmoid_focal_loss, logits.to(device), labels.to(device))
    worst = max(_error(a, b) for a, b in zip(got, wanted, strict=True))
    detail = f"forward and backward, error {worst:.1e}"
    return Check(f"sigmoid_focal_loss on {device}", worst <= TOLERANCES[torch.float32], detail)


def check_assignment(device: torch.device) -> Check:
    """As many pairs as the twin makes, as cheap; with a capacity, and with forbidden pairs."""
    rng = torch.Generator().manual_seed(0)
    cost = torch.rand(4, 20, 100, generator=rng)
    cost[2:][torch.rand(2, 20, 100, generator=rng) < 0.5] = torch.inf
    counts = torch.tensor([20, 7])
    (wanted,) = batched_assignment_reference([cost], counts, [3])
    got = batched_assignment(cost.to(device), counts.to(device), 3).cpu()
    same = torch.equal((got >= 0).sum(-1), (wanted >= 0).sum(-1))
    error = abs(_total(cost, got) - _total(cost, wanted))
    detail = f"4 problems, cost differs by {error:.1e}"
    return Check(f"batched_assignment on {device}", same and error < 1e-4, detail)


def _total(cost: Tensor, answer: Tensor) -> float:
    chosen = cost.gather(1, answer.clamp(min=0)[:, None]).squeeze(1)
    return float(chosen[answer >= 0].double().sum())


def devices_with_kernels() -> Iterator[torch.device]:
    if extension.CPU.loaded:
        yield torch.device("cpu")
    if extension.CUDA.loaded:
        yield from (torch.device("cuda", index) for index in range(torch.cuda.device_count()))


def check_device(device: torch.device) -> Iterator[Check]:
    reason = extension.why_no_kernel("ms_deform_attn", device)
    if reason:  # the twin would answer, and pass
        yield Check(f"ms_deform_attn on {device}", False, reason)
        return
    for dtype in TOLERANCES:
        yield _guarded(f"ms_deform_attn on {device}", check_deformable_attention, device, dtype)
    yield _guarded(f"ms_deform_attn on {device}", check_determinism, device)
    yield _guarded(f"matching_cost on {device}", check_matching_cost, device)
    yield _guarded(f"sigmoid_focal_loss on {device}", check_focal_loss, device)
    yield _guarded(f"batched_assignment on {device}", check_assignment, device)


def _guarded(name: str, check: Callable[..., Check], *arguments: object) -> Check:
    try:
        return check(*arguments)
    except Exception as error:  # a kernel that raises is a finding, too
        return Check(name, False, extension.whole(error))


def checks() -> Iterator[Check]:
    for library in (extension.CPU, extension.CUDA):
        if library.error is not None and not is_useless(library):
            yield Check(f"loading {library.name}", False, extension.whole(library.error))
    for device in devices_with_kernels():
        yield from check_device(device)


def main() -> int:
    """Prints the report; the exit status."""
    facts = [*versions(), ("CPU kernels", state(extension.CPU))]
    facts.append(("CUDA kernels", state(extension.CUDA)))
    for name, fact in facts:
        print(f"{name:13} {fact}")
    done = []
    for check in checks():
        print(check, flush=True)
        done.append(check)
    if not done:
        print("No kernels can be tested here: the operators run in PyTorch's own operations.")
    return 0 if all(check.passed for check in done) else 1


if __name__ == "__main__":
    sys.exit(main())
