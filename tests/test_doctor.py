"""The report of what is installed and built, and the self-test behind it."""

import hdetr_d2  # noqa: F401

import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hdetr_d2.doctor import self_test
from hdetr_d2.doctor.__main__ import main
from hdetr_d2.ops import extension, ms_deform_attn_reference
from hdetr_d2.ops.extension import Library

Report = Callable[..., tuple[int, str]]


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Report:
    """The exit status and the text of the doctor, with these libraries and these facts."""

    def examine(cpu: Library, cuda: Library, **facts: object) -> tuple[int, str]:
        monkeypatch.setattr(extension, "CPU", cpu)
        monkeypatch.setattr(extension, "CUDA", cuda)
        monkeypatch.setattr(extension, "build_facts", lambda: facts)
        status = main()
        return status, capsys.readouterr().out

    return examine


def absent(name: str) -> Library:
    return Library(name, None, None)


def broken(name: str) -> Library:
    try:
        raise OSError("Could not load this library") from OSError("undefined symbol: abc")
    except OSError as error:
        return Library(name, Path(f"/p/{name}.so"), error)


def test_where_nothing_is_built_that_is_said_and_no_failure(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    facts = dict(cpu_reason="there was no compiler", cuda_reason="there was no GPU")
    status, text = report(absent("_C"), absent("_C_cuda"), **facts)
    assert status == 0
    assert re.search(r"CPU kernels +not built, because there was no compiler\. To build", text)
    assert re.search(r"CUDA kernels +not built, because there was no GPU\. To build", text)
    assert "HDETR_D2_FORCE_EXT=1" in text
    assert "FORCE_CUDA=1" in text
    assert "No kernels can be tested here" in text


def test_versions_and_the_machine_are_told(report: Report) -> None:
    _, text = report(absent("_C"), absent("_C_cuda"))
    for name in ("hdetr_d2", "Python", "PyTorch", "torchvision", "timm", "Detectron2", "nvcc"):
        assert re.search(rf"^{name} +\S", text, re.MULTILINE)
    assert torch.__version__ in text


def test_missing_packages_and_programs_are_told(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("CUDA_HOME", "/nowhere")
    status, text = report(absent("_C"), absent("_C_cuda"))
    assert status == 0
    assert re.search(r"timm +not installed", text)
    assert "no-such-compiler was not found" in text
    assert "not found in /nowhere/bin" in text


def test_a_library_that_does_not_load_fails_with_the_first_cause(report: Report) -> None:
    status, text = report(broken("_C"), absent("_C_cuda"))
    assert status == 1
    assert "FAIL  loading _C: OSError: Could not load this library (OSError: undefined" in text


def test_cuda_kernels_cannot_be_loaded_by_a_pytorch_without_cuda(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    status, text = report(absent("_C"), broken("_C_cuda"))
    assert status == 0
    assert "they need a PyTorch with CUDA" in text
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    assert report(absent("_C"), broken("_C_cuda"))[0] == 1


@pytest.mark.skipif(not extension.CPU.loaded, reason="the CPU kernels are not built")
def test_the_kernels_pass() -> None:
    for check in self_test.check_device(torch.device("cpu")):
        assert check.passed, str(check)
        assert re.match(r"PASS  \w+ on cpu", str(check))


@pytest.mark.needs_cuda
@pytest.mark.skipif(not extension.CUDA.loaded, reason="the CUDA kernels are not built")
def test_the_cuda_kernels_pass() -> None:
    for check in self_test.check_device(torch.device("cuda", 0)):
        assert check.passed, str(check)


def test_kernels_that_a_device_cannot_run_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extension, "why_no_kernel", lambda op, device: "built for 8.0 alone.")
    checks = [*self_test.check_device(torch.device("cpu"))]
    assert [str(check) for check in checks] == ["FAIL  ms_deform_attn on cpu: built for 8.0 alone."]


def test_the_twin_passes_its_own_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "ms_deform_attn", ms_deform_attn_reference)
    for dtype in self_test.TOLERANCES:
        check = self_test.check_deformable_attention(torch.device("cpu"), dtype)
        assert check.passed, str(check)


@pytest.mark.parametrize("factor", [1.001, float("nan")])
def test_wrong_numbers_fail(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    def wrong(value: Tensor, *others: object) -> Tensor:
        return ms_deform_attn_reference(value, *others) * factor

    monkeypatch.setattr(self_test, "ms_deform_attn", wrong)
    assert not self_test.check_deformable_attention(torch.device("cpu"), torch.float32).passed


def test_a_kernel_that_raises_fails_and_the_others_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def raising(*arguments: object) -> Tensor:
        raise RuntimeError("no kernel image")

    monkeypatch.setattr(extension, "why_no_kernel", lambda op, device: "")
    monkeypatch.setattr(self_test, "ms_deform_attn", raising)
    checks = [*self_test.check_device(torch.device("cpu"))]
    broken = [check for check in checks if check.name.startswith("ms_deform_attn on")]
    others = [check for check in checks if check not in broken]
    assert len(broken) == len(self_test.TOLERANCES) + 1
    assert all(not check.passed and "no kernel image" in check.detail for check in broken)
    assert len(others) >= 4
    assert all(check.passed for check in others)
