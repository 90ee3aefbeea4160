"""Which kernels are built, with which command, and what is said of those that are not."""

import json
import re
import runpy
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
BUILD = runpy.run_path(str(ROOT / "csrc" / "build_kernels.py"))
NotBuilt, Torch, Toolkit = BUILD["NotBuilt"], BUILD["Torch"], BUILD["Toolkit"]
KNOWN = ["7.5", "8.0", "8.6", "8.7", "8.9", "9.0", "10.0", "12.0", "12.1"]


def program(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def toolkit(folder: Path, version: str = "13.0") -> Path:
    """A folder with an nvcc that says its version and that it knows 8.0 and 12.0."""
    release = f'echo "Cuda compilation tools, release {version}, V{version}.1"'
    archs = 'echo "compute_80\ncompute_120"'
    program(folder / "bin" / "nvcc", f'[ "$1" = --version ] && {release} || {archs}')
    return folder


def pytorch(cuda: str | None = "13.2", gpus: Sequence[str] = ("9.0",)) -> object:
    return Torch("2.15.0", cuda, gpus, Path("/packages/torch"))


# ---- the C++ compiler


def test_nothing_is_built_where_nothing_shall_be() -> None:
    with pytest.raises(NotBuilt, match="HDETR_D2_SKIP_EXT=1 was set"):
        BUILD["find_compiler"]({"HDETR_D2_SKIP_EXT": "1"}, "linux")


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_elsewhere_than_on_linux_it_is_tried_on_request(system: str) -> None:
    with pytest.raises(NotBuilt, match=f"{system} is not Linux"):
        BUILD["find_compiler"]({"CXX": "sh"}, system)
    env = {"CXX": "sh", "HDETR_D2_FORCE_EXT": "1", "PATH": "/bin"}
    assert BUILD["find_compiler"](env, system) == ["sh"]


def test_the_compiler_is_that_of_the_environment(tmp_path: Path) -> None:
    program(tmp_path / "mine")
    env = {"PATH": str(tmp_path), "CXX": "mine -m64"}
    assert BUILD["find_compiler"](env, "linux") == ["mine", "-m64"]
    with pytest.raises(NotBuilt, match=r"no C\+\+ compiler was found \(c\+\+ is not on the PATH\)"):
        BUILD["find_compiler"]({"PATH": str(tmp_path)}, "linux")


def test_pytorch_is_asked_for_where_there_is_something_to_build_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = BUILD["needs_torch"]
    monkeypatch.setitem(asked.__globals__, "find_spec", lambda name: None)
    env = {"CXX": "sh", "PATH": "/bin", "HDETR_D2_FORCE_EXT": "1"}
    assert asked(env)
    assert not asked(env | {"HDETR_D2_SKIP_EXT": "1"})
    assert not asked(env | {"CXX": "no-such-compiler"})
    monkeypatch.setitem(asked.__globals__, "find_spec", lambda name: "found")
    assert not asked(env)


# ---- CUDA


def test_cuda_kernels_want_a_gpu_or_to_be_asked_for() -> None:
    check = BUILD["check_gpu"]
    check({}, pytorch())
    check({"FORCE_CUDA": "1"}, pytorch(gpus=()))
    with pytest.raises(NotBuilt, match="there is no GPU here"):
        check({"FORCE_CUDA": "0"}, pytorch(gpus=()))
    with pytest.raises(NotBuilt, match=r"PyTorch 2\.15\.0 is a build without CUDA"):
        check({"FORCE_CUDA": "1"}, pytorch(cuda=None))


def test_the_toolkit_is_that_of_the_environment_else_one_that_is_installed(tmp_path: Path) -> None:
    find = BUILD["find_toolkit"]
    mine, on_path, default = (toolkit(tmp_path / name) for name in ("mine", "path", "default"))
    packages = tmp_path / "packages"
    package = toolkit(packages / "nvidia" / "cu13")
    none = tmp_path / "none"
    path = f"/usr/bin:/bin:{on_path}/bin"
    cases = [
        ({"CUDA_HOME": str(mine), "PATH": path}, packages, mine),
        ({"CUDA_PATH": str(mine), "PATH": path}, packages, mine),
        ({"PATH": path}, packages, on_path),
        ({"PATH": "/nowhere"}, packages, package),
        ({"PATH": "/nowhere"}, none, default),
    ]
    for env, folder, wanted in cases:
        found = find(env, folder, str(default))
        assert found == Toolkit(str(wanted / "bin" / "nvcc"), "13.0", ["8.0", "12.0"])


def test_a_missing_toolkit_is_told_in_one_sentence(tmp_path: Path) -> None:
    find = BUILD["find_toolkit"]
    with pytest.raises(NotBuilt, match=f"CUDA_HOME={tmp_path} has no bin/nvcc"):
        find({"CUDA_HOME": str(tmp_path)}, tmp_path, str(toolkit(tmp_path / "default")))
    with pytest.raises(NotBuilt, match="no CUDA toolkit was found .CUDA_HOME is not set"):
        find({"PATH": "/nowhere"}, tmp_path, "/nowhere")


def test_a_link_to_nvcc_is_followed_to_where_its_files_are(tmp_path: Path) -> None:
    nvcc = toolkit(tmp_path / "real") / "bin" / "nvcc"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvcc").symlink_to(nvcc)
    assert BUILD["find_toolkit"]({"CUDA_HOME": str(tmp_path)}, tmp_path).nvcc == str(nvcc)


@pytest.mark.parametrize(
    ("env", "known", "wanted"),
    [
        ({}, KNOWN, ["8.0", "9.0+PTX"]),
        ({}, ["7.5", "8.0", "8.6"], ["8.0+PTX"]),  # the toolkit is older than a GPU
        ({}, ["3.5", "5.0"], ["5.0+PTX"]),
        ({"FORCE_CUDA": "1"}, KNOWN, ["7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "12.0+PTX"]),
        ({"FORCE_CUDA": "1"}, ["7.0", "7.5", "8.0", "8.6"], ["7.5", "8.0", "8.6+PTX"]),
        ({"TORCH_CUDA_ARCH_LIST": "8.6"}, KNOWN, ["8.6"]),
        ({"TORCH_CUDA_ARCH_LIST": "8.0;9.0a 12.0+PTX,"}, KNOWN, ["8.0", "9.0a", "12.0+PTX"]),
    ],
)
def test_architectures(env: dict[str, str], known: list[str], wanted: list[str]) -> None:
    assert BUILD["architectures"](env, known, ["8.0", "9.0"]) == wanted


@pytest.mark.parametrize(
    ("gpus", "wanted"),
    [(["12.2"], "12.1+PTX"), (["8.8"], "8.7+PTX"), (["7.0", "12.2"], "12.1+PTX")],
)
def test_a_gpu_that_the_toolkit_does_not_know_gets_an_older_one(
    gpus: list[str], wanted: str
) -> None:
    assert BUILD["architectures"]({}, KNOWN, gpus) == [wanted]


def test_nothing_is_compiled_for_gpus_older_than_the_toolkit() -> None:
    wanted = (
        "the toolkit knows GPUs of capability 7.5 and later, but those that are here have 6.1, 7.0"
    )
    with pytest.raises(NotBuilt, match=wanted):
        BUILD["architectures"]({}, KNOWN, ["6.1", "7.0"])


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(NotBuilt, match="TORCH_CUDA_ARCH_LIST has 'Hopper' where 8.6"):
        BUILD["architectures"]({"TORCH_CUDA_ARCH_LIST": "8.0;Hopper"}, KNOWN, [])


# ---- commands


def test_the_cpu_library_is_made_for_every_processor_and_pytorch() -> None:
    files = BUILD["_files"](pytorch(), ["a.cpp"], "_C.so", ["torch_cpu", "c10"])
    command = BUILD["cpu_command"](["g++"], {"CXXFLAGS": "-g -Werror"}, files)
    assert {"-g", "-Werror", "-DTORCH_TARGET_VERSION=0x020a000000000000", "a.cpp"} <= {*command}
    assert not {"-ffast-math", "-Ofast", "-march=native", "-ltorch_python"} & {*command}
    assert command[-3:] == ["-L/packages/torch/lib", "-ltorch_cpu", "-lc10"]


def test_the_cuda_library_brings_its_runtime() -> None:
    command = BUILD["cuda_command"](
        Toolkit("nvcc", "13.0", KNOWN), ["8.0", "12.0+PTX"], {"CXX": "g++-12", "MAX_JOBS": "3"}, []
    )
    assert {"-cudart=static", "-DUSE_CUDA", "--threads=3", "g++-12"} <= {*command}
    assert "--use_fast_math" not in command
    assert [flag for flag in command if "gencode" in flag] == [
        "-gencode=arch=compute_80,code=sm_80",
        "-gencode=arch=compute_120,code=sm_120",
        "-gencode=arch=compute_120,code=compute_120",
    ]


def test_a_flag_with_a_comma_reaches_the_host_compiler_whole() -> None:
    env = {"CXXFLAGS": "-g -Wl,-O1"}
    command = BUILD["cuda_command"](Toolkit("nvcc", "13.0", KNOWN), ["8.0"], env, [])
    assert command[command.index("-Xcompiler") + 1].startswith(r"-g,-Wl\,-O1,-fPIC,")


def test_a_command_that_does_not_start_is_a_reason_too(tmp_path: Path) -> None:
    (tmp_path / "compiler").touch()
    with pytest.raises(NotBuilt, match=r"compiler cannot be run \(Permission denied\)"):
        BUILD["_run"]([str(tmp_path / "compiler")])


def test_of_a_failed_command_the_telling_line_is_kept(tmp_path: Path) -> None:
    lines = ['echo "In file included from b:" >&2', 'echo "a.cpp:1: error: no" >&2', "exit 1"]
    failing = program(tmp_path / "compiler", *lines)
    with pytest.raises(NotBuilt, match=r"compiler failed \(a.cpp:1: error: no\)"):
        BUILD["_run"]([str(failing)])


# ---- what is said


def outcome(kind: str, env: dict[str, str]) -> dict:
    return BUILD["attempt"](kind, env, [], "library.so")


def test_what_cannot_be_built_stops_only_who_insists() -> None:
    missing = {"CXX": "no-such-compiler"}
    reason = "no C++ compiler was found (no-such-compiler is not on the PATH)"
    assert outcome("cpu", missing) == {"cpu_reason": reason}
    assert outcome("cuda", missing) == {"cuda_reason": reason}
    insisting = [("cpu", "HDETR_D2_FORCE_EXT"), ("cpu", "FORCE_CUDA"), ("cuda", "FORCE_CUDA")]
    for kind, variable in insisting:
        wanted = rf"{variable}=1, but the {kind.upper()} kernels cannot be built: no C\+\+"
        with pytest.raises(Exception, match=wanted):
            outcome(kind, missing | {variable: "1"})
        assert outcome(kind, missing | {variable: "1", "HDETR_D2_SKIP_EXT": "1"})


def test_one_line_tells_what_was_built() -> None:
    built = {"cpu": True, "cuda": "13.0"}
    assert BUILD["summary"](built) == "hdetr_d2: CPU kernels: built; CUDA kernels: built"
    skipped = {"cpu": True, "cuda": None, "cuda_reason": "there is no GPU"}
    assert BUILD["summary"](skipped) == (
        "hdetr_d2: CPU kernels: built; CUDA kernels: skipped, because there is no GPU"
    )


def test_every_kernel_file_is_compiled() -> None:
    compiled = {name for extension in BUILD["extensions"]() for name in extension.sources}
    sources = {f"csrc/{path.name}" for path in (ROOT / "csrc").glob("*.c[pu]*")}
    assert compiled == {name for name in sources if not name.endswith(".cuh")}


def test_what_is_built_is_what_is_recorded() -> None:
    record = ROOT / "hdetr_d2" / "_build.json"
    if not record.exists():
        pytest.skip("nothing was built in this clone")
    facts = json.loads(record.read_text(encoding="utf-8"))
    for kind, name in (("cpu", "_C"), ("cuda", "_C_cuda")):
        assert len([*record.parent.glob(f"{name}.*")]) == bool(facts[kind])
        assert bool(facts[kind]) != bool(facts.get(f"{kind}_reason"))
    assert all(re.fullmatch(r"\d+\.\d[af]?(\+PTX)?", arch) for arch in facts["archs"])
    assert bool(facts["archs"]) == bool(facts["cuda"])


def test_pytorch_is_described_without_guessing() -> None:
    found = BUILD["find_torch"]()
    assert found.version == torch.__version__
    assert (found.folder / "include" / "torch" / "csrc" / "stable" / "library.h").exists()
