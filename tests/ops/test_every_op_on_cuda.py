"""What holds of all operators on CUDA: numbers, PyTorch's checks, streams, devices, graphs."""

import hdetr_d2  # noqa: F401

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from hdetr_d2.ops import extension

sys.path.insert(0, str(Path(__file__).parent))
from op_calls import CALLS, Call, assert_same, moved

HERE = Path(__file__).resolve().parent
CSRC = HERE.parents[1] / "csrc"
# One call of each operator.
OPS = {call.op: name for name, call in reversed(CALLS.items())}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def need_kernel(op: str, device: str) -> None:
    if reason := extension.why_no_kernel(op, torch.device(device)):
        pytest.skip(reason)


def test_every_operator_with_cuda_kernels_has_a_call() -> None:
    bindings = CSRC.glob("*_cuda_binding.cpp")
    sources = [path.read_text(encoding="utf-8") for path in bindings]
    names = {name for text in sources for name in re.findall(r'm\.impl\("(\w+)"', text)}
    assert names
    assert names - {"cuda_versions"} == set(OPS)


@every_call
def test_the_arguments_are_taken(call: Call) -> None:
    need_kernel(call.op, "cpu")
    assert all(answer.abs().sum() > 0 for answer in call.on_cpu() if answer.dtype != torch.int64)


@pytest.mark.needs_cuda
@pytest.mark.sanitize
@every_call
def test_same_as_on_cpu(call: Call) -> None:
    need_kernel(call.op, "cuda")
    assert_same(call.run(moved(call.arguments(), "cuda")), call.on_cpu())


@pytest.mark.needs_cuda
@every_call
def test_opcheck(call: Call) -> None:
    need_kernel(call.op, "cuda")
    given = moved(call.arguments(), "cuda")
    if f"{call.op}_backward" in OPS:
        given[0].requires_grad_()
    torch.library.opcheck(getattr(torch.ops.hdetr_d2, call.op).default, given)


def run_late(call: Call, device: str) -> list[Tensor]:
    """The answer of a stream of its own, whose arguments are there only after it has slept."""
    given = moved(call.arguments(), device)
    torch.cuda.synchronize(device)
    aside = torch.cuda.Stream(device)
    with torch.cuda.stream(aside):
        torch.cuda._sleep(10**8)
        found = call.run(tree_map_only(Tensor, torch.clone, given))
    aside.synchronize()
    return found


@pytest.mark.needs_cuda
@every_call
def test_another_stream(call: Call) -> None:
    need_kernel(call.op, "cuda")
    assert_same(run_late(call, "cuda"), call.on_cpu())


@pytest.mark.needs_cuda(devices=2)
@every_call
def test_another_device(call: Call) -> None:
    """While the first one is current."""
    need_kernel(call.op, "cuda:1")
    torch.cuda.set_device(0)
    for found in (call.run(moved(call.arguments(), "cuda:1")), run_late(call, "cuda:1")):
        assert {answer.device.index for answer in found} == {1}
        assert_same(found, call.on_cpu())
    assert torch.cuda.current_device() == 0


@pytest.mark.needs_cuda
@pytest.mark.parametrize("name", OPS.values())
def test_a_graph_captures_the_first_launch(run_python: Callable, name: str) -> None:
    need_kernel(CALLS[name].op, "cuda")
    run = run_python(HERE / "first_capture.py", name)
    assert run.returncode == 0, run.stderr
