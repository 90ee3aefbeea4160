"""How the compiled libraries are found, and what is said where they cannot be used."""

import hdetr_d2  # noqa: F401

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from hdetr_d2.ops import extension
from hdetr_d2.ops.extension import Library, covers, why_no_kernel, why_not

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the package's."""
    monkeypatch.setattr(extension, "_PACKAGE", tmp_path)
    return tmp_path


@pytest.fixture
def forget_devices() -> Iterator[None]:
    extension._device_gap.cache_clear()
    yield
    extension._device_gap.cache_clear()


def test_a_library_that_is_not_there(package):
    (package / "_C.pyi").touch()
    (package / "_C_cuda.abi3.so").touch()
    library = extension._load("_C")
    assert library == Library("_C", None, None)
    assert not library.loaded
    assert why_not(library) == "The CPU kernels are not built."


def test_the_build_tells_why_a_library_is_not_there(package):
    (package / "_build.json").write_text(json.dumps({"cuda_reason": "no nvcc was found."}))
    assert why_not(Library("_C_cuda", None, None)) == (
        "The CUDA kernels are not built: no nvcc was found."
    )
    assert why_not(Library("_C", None, None)) == "The CPU kernels are not built."


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", None])
def test_a_record_of_the_build_that_cannot_be_read_is_none(package, text):
    if text is not None:
        (package / "_build.json").write_text(text)
    assert extension.build_facts() == {}


def test_a_library_that_does_not_load_keeps_its_error(package):
    path = package / "_C_cuda.abi3.so"
    path.write_text("no library")
    library = extension._load("_C_cuda")
    assert library.path == path
    assert not library.loaded
    sentence = why_not(library)
    assert sentence.startswith(f"The CUDA kernels ({path}) failed to load: OSError: ")
    # The loader's own words, which PyTorch hides behind "Could not load this library".
    assert str(library.error.__cause__ or library.error) in sentence
    assert (
        "invalid ELF header" in sentence or "file too short" in sentence or sys.platform != "linux"
    )


def test_a_loaded_library_has_no_reason():
    assert why_not(Library("_C", Path("_C.abi3.so"), None)) == ""
    for library in (extension.CPU, extension.CUDA):
        assert bool(why_not(library)) != library.loaded


def test_devices_without_kernels():
    assert why_no_kernel("ms_deform_attn", torch.device("mps")) == (
        "There are no kernels for mps devices."
    )
    assert why_no_kernel("ms_deform_attn", CPU) == why_not(extension.CPU)


def test_a_gpu_needs_both_libraries(monkeypatch):
    monkeypatch.setattr(extension, "_has_kernel", lambda op, device: False)
    monkeypatch.setattr(extension, "build_facts", dict)
    missing, there = Library("_C", None, None), Library("_C", Path("_C.abi3.so"), None)
    broken = Library("_C_cuda", Path("_C_cuda.abi3.so"), OSError("libcudart.so.13: no such file."))
    monkeypatch.setattr(extension, "CUDA", broken)
    monkeypatch.setattr(extension, "CPU", missing)
    assert why_no_kernel("ms_deform_attn", GPU) == "The CPU kernels are not built."
    monkeypatch.setattr(extension, "CPU", there)
    assert "OSError: libcudart.so.13: no such file." in why_no_kernel("ms_deform_attn", GPU)


def test_a_library_older_than_an_operator(monkeypatch):
    monkeypatch.setattr(extension, "CPU", Library("_C", Path("_C.abi3.so"), None))
    for device in (CPU, torch.device("meta")):
        assert why_no_kernel("newer_op", device) == (
            f"The compiled libraries have no newer_op for {device.type} devices; if they are older "
            "than the package, build them again."
        )


@pytest.mark.parametrize(
    "archs, capability, covered",
    [
        (["9.0"], (9, 0), True),
        (["8.0"], (8, 6), True),  # machine code runs on later minor versions
        (["8.6"], (8, 0), False),
        (["8.0"], (9, 0), False),
        (["8.0+PTX"], (9, 0), True),  # PTX is compiled by the driver for whatever is newer
        (["9.0+PTX"], (8, 9), False),
        (["9.0a"], (9, 0), True),
        (["9.0a+PTX"], (10, 0), False),
        (["10.0f"], (10, 3), True),
        (["7.5", "8.0", "9.0+PTX"], (12, 0), True),
        (["7.5", "12.0"], (8, 0), False),
        (["all"], (8, 0), False),
        ([], (8, 0), False),
    ],
)
def test_which_devices_a_build_covers(archs, capability, covered):
    assert covers(archs, capability) == covered


@pytest.fixture
def card(forget_devices, monkeypatch):
    """A GPU of capability 12.0, and all kernels in a library that does not tell its CUDA."""
    monkeypatch.setattr(extension, "_has_kernel", lambda op, device: True)
    monkeypatch.setattr(extension, "is_defined", lambda op: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (12, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Card")


def test_a_gpu_that_the_build_does_not_cover(package, card):
    (package / "_build.json").write_text(json.dumps({"archs": ["8.0", "9.0"]}))
    assert why_no_kernel("ms_deform_attn", GPU) == (
        "The CUDA kernels are built for 8.0, 9.0, but Card has the capability 12.0."
    )


def test_a_build_without_a_list_of_devices_is_trusted(package, card):
    assert why_no_kernel("ms_deform_attn", GPU) == ""


@pytest.fixture
def cuda_versions(card, monkeypatch):
    """Sets what the library tells of the driver and of itself."""

    def tell(driver: int, built: int) -> None:
        monkeypatch.setattr(extension, "is_defined", lambda op: op == "cuda_versions")
        told = SimpleNamespace(cuda_versions=lambda: (driver, built))
        monkeypatch.setattr(torch.ops, "hdetr_d2", told)

    return tell


def test_a_driver_that_is_older_than_the_kernels(cuda_versions):
    cuda_versions(12080, 13020)
    assert why_no_kernel("ms_deform_attn", GPU) == (
        "The CUDA kernels are built with CUDA 13.2, but the NVIDIA driver supports no later CUDA "
        "than 12.8."
    )


@pytest.mark.parametrize("driver, built", [(13000, 13020), (13020, 13000), (13000, 12090)])
def test_a_driver_of_the_same_major_version_will_do(package, cuda_versions, driver, built):
    cuda_versions(driver, built)
    assert why_no_kernel("ms_deform_attn", GPU) == ""


@pytest.mark.skipif(not extension.CUDA.loaded, reason="the CUDA kernels are not built")
def test_the_library_tells_its_cuda():
    built = extension._cuda_versions()[1]
    assert ".".join(map(str, built)) == extension.build_facts()["cuda"]


def test_a_broken_library_does_not_break_the_import(run_python: Callable, tmp_path):
    """In a process of its own, with a copy of the operators beside a file that is no library."""
    copy = tmp_path / "hdetr_d2"
    shutil.copytree(Path(extension.__file__).parent, copy / "ops")
    (copy / "__init__.py").touch()
    (copy / "_C.abi3.so").write_text("no library")
    script = (
        "import torch\n"
        "from hdetr_d2.ops import extension, ms_deform_attn\n"
        "out = ms_deform_attn(torch.ones(1, 4, 1, 1), [(2, 2)],"
        " torch.full((1, 1, 1, 1, 1, 2), 0.5), torch.ones(1, 1, 1, 1, 1))\n"
        "print(out.item(), extension.CPU.loaded)"
    )
    done = run_python("-c", script, folder=tmp_path)
    assert done.stdout.split() == ["1.0", "False"], done.stderr
    assert "failed to load: OSError" in done.stderr
