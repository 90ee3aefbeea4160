"""The parts of a run. Those of a stage run at the same time; a benchmark has the GPU to itself."""

import importlib.util
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_parts import ROOT, TOOLS, Benchmark, Part, Sanitizer, Suite

Stage = Sequence[Part]
ORIGINAL = "Deformable-DETR's kernel"
# Before the first test: imports of PyTorch and timm, and creation of a context on the device.
START = 15.0
SANITIZER = "compute-sanitizer"
SANITIZERS = ("memcheck", "racecheck", "initcheck", "synccheck")


@dataclass(frozen=True)
class Request:
    """What is requested.

    capability: of the GPU, to build for. built: use existing kernels. original: a checkout of
    Deformable-DETR, whose kernels are built and timed. page: where benchmarks write. output: a
    folder for logs and builds.
    """

    capability: str
    built: bool
    original: Path | None
    page: Path
    output: Path


def whole_run(request: Request) -> list[Stage]:
    """In order of importance: what comes last is left out if time runs out."""
    return [builds(request), tests(), *([part] for part in benchmarks(request))]


def sanitizers(request: Request) -> list[Stage]:
    return [builds(request), [sanitizer(tool) for tool in SANITIZERS]]


def builds(request: Request) -> list[Part]:
    parts = [] if request.built else [kernels(request.capability)]
    if request.original is not None:
        parts.append(original(request.original, request))
    return parts


def kernels(capability: str) -> Part:
    wanted = {"FORCE_CUDA": "1", "TORCH_CUDA_ARCH_LIST": capability}
    command = ["setup.py", "--quiet", "build_ext", "--inplace"]
    return Part("build of the kernels", command, 240, 110, wanted, needed=True)


def original(checkout: Path, request: Request) -> Part:
    command = [str(TOOLS / "gpu_original.py"), str(checkout), str(original_folder(request))]
    wanted = {"TORCH_CUDA_ARCH_LIST": request.capability}
    return Part("build of the original kernels", command, 240, 110, wanted)


def original_folder(request: Request) -> Path:
    return request.output / "original"


def files_with(mark: str, root: Path = ROOT) -> list[str]:
    """Test files that contain a mark: collecting all others would take a minute."""
    folders = [root / "tests", *root.glob("projects/*/tests")]
    found = (path for folder in folders for path in folder.rglob("test_*.py"))
    chosen = (path for path in found if f"mark.{mark}" in path.read_text(encoding="utf-8"))
    return sorted(path.relative_to(root).as_posix() for path in chosen)


def tests() -> list[Suite]:
    files = files_with("needs_cuda")
    scripts = [name for name in files if name.startswith("tests/benchmarks/")]
    steps = [name for name in files if name.endswith("test_no_host_sync.py")]
    others = [name for name in files if name not in [*scripts, *steps]]
    return [
        on_cuda("tests of operators and the rest", others, each=0.5, workers=4),
        on_cuda("tests of training steps", steps, each=1.5, workers=6),
        on_cuda("tests of the benchmarks' scripts", scripts, each=12, workers=4),
    ]


def on_cuda(name: str, files: Sequence[str], *, each: float, workers: int) -> Suite:
    at_once = workers if importlib.util.find_spec("xdist") else 1
    command = ["-m", "needs_cuda", "--continue-on-collection-errors", *files]
    if at_once > 1:
        command += ["--numprocesses", str(at_once)]
    return Suite(name, command, 150, START, {"OMP_NUM_THREADS": "1"}, each=each, workers=at_once)


def sanitizer(tool: str) -> Sanitizer:
    """PyTorch's allocator would hide out-of-bounds accesses and uninitialised memory."""
    prefix = [sanitizer_program(), "--tool", tool, "--print-limit", "20"]
    uncached = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1", "OMP_NUM_THREADS": "1"}
    command = ["-m", "sanitize", *files_with("sanitize")]
    return Sanitizer(tool, command, 300, 60, uncached, prefix, each=5)


def sanitizer_program() -> str:
    """From the toolkit, which need not be on the path."""
    homes = [os.environ.get("CUDA_HOME", ""), "/usr/local/cuda"]
    folders = [os.environ.get("PATH", ""), *(f"{home}/bin" for home in homes if home)]
    return shutil.which(SANITIZER, path=os.pathsep.join(folders)) or SANITIZER


def benchmarks(request: Request) -> list[Benchmark]:
    """With an effort that fits into a few minutes."""
    near, far, few = "encoder-near", "encoder-anywhere", "decoder-300-near"
    attention = ["--batch", "2", "--cases", near, far, few, "--deterministic"]
    passes = ("forward", "backward")
    beside = [f"{case}, {what}, {ORIGINAL}" for case in (near, far) for what in passes]
    counts = ["--targets", "30", "100"]
    step = ["--images", "2", "--size", "800", "1333"]
    solved = [*counts, "--cases", "step", "one2many", "encoder"]
    sixteen = ["--batch", "2", "--cases", near, "--dtype", "bfloat16"]
    parts: list[tuple[str, list[str], float, list[str]]] = [
        ("ms_deform_attn", attention, 70, beside),
        ("matching", counts, 25, ["30, official", "100, official"]),
        ("train_step", step, 90, ["h_deformable_detr_r50_12ep, ours"]),
        ("assignment", solved, 36, []),
        ("ms_deform_attn", sixteen, 30, []),
        ("matching_cost", ["--targets", "100"], 13, []),
        ("focal_loss", [], 15, []),
        ("box_losses", [], 15, []),
        ("move_boxes", [], 12, []),
        ("affine_relu", [], 15, []),
    ]
    return [benchmark(*part, request) for part in parts]


def benchmark(
    script: str, options: Sequence[str], expected: float, wanted: Sequence[str], request: Request
) -> Benchmark:
    run = ["--device", "cuda", "--rounds", "3", "--write", str(request.page)]
    command = [f"benchmarks/{script}.py", *options, *run]
    name = " ".join(["benchmark", script, *(word for word in options if "float" in word)])
    peers = {"PYTHONPATH": str(original_folder(request))}
    return Benchmark(name, command, 1.5 * expected, expected, peers, wanted=wanted)


def emulated() -> Suite:
    """The CUDA kernels on the CPU."""
    command = ["-m", "not slow", "-k", "emulated", "tests/csrc"]
    return Suite("emulated kernels", command, 400, 0, each=0)
