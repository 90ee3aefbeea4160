"""Every script in benchmarks/ runs; how fast is not asked here."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(
    path for path in FOLDER.glob("*.py") if "\nif __name__ ==" in path.read_text(encoding="utf-8")
)
# These count, or train and predict on the CPU, whatever the device.
ON_HOST = {
    "assignment_starts",
    "exported",
    "kills",
    "long_run",
    "many_gpus",
    "ms_deform_attn_sums",
    "predict_at_scale",
}
RUNS = [pytest.param(path, "cpu", id=path.stem) for path in SCRIPTS] + [
    pytest.param(path, "cuda", id=f"{path.stem}-cuda", marks=pytest.mark.needs_cuda)
    for path in SCRIPTS
    if path.stem not in ON_HOST
]


@pytest.mark.parametrize(("script", "device"), RUNS)
def test_a_script_runs_and_writes_its_results(
    run_python: Callable, script: Path, device: str, tmp_path: Path
) -> None:
    page = tmp_path / "RESULTS.md"
    command = [script, "--smoke", "--device", device, "--threads", "1", "--write", page]
    # From another folder: the script's own one comes first on the path.
    run = run_python(*command, folder=tmp_path)
    assert run.returncode == 0, run.stderr
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# Results\n\n## {script.stem}\n\n### ")
    for part in (f"benchmarks/{script.name} --smoke", "PyTorch", "| ratio"):
        assert part in text
        assert part in run.stdout
    assert "differs from ours" not in text


def test_the_pages_name_every_script() -> None:
    assert SCRIPTS
    for page in ("README.md", "RESULTS.md"):
        text = (FOLDER / page).read_text(encoding="utf-8")
        assert [script.stem for script in SCRIPTS if script.stem not in text] == []
