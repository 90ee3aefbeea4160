"""Code of a training step reads no value on the host; what does is listed, each with its reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "hdetr_d2"
ROOMS = ("modeling", "matching", "losses", "schemes", "teachers", "layers", "ops")
FILES = sorted(path for room in ROOMS for path in (PACKAGE / room).rglob("*.py"))
FILES += sorted((PACKAGE / "structures").glob("*.py"))
NOT_IN_A_STEP = {"configs", "tests"}
PROJECTS = ROOT / "projects"
FILES += [
    path
    for path in sorted(PROJECTS.rglob("*.py"))
    if not NOT_IN_A_STEP & {*path.relative_to(PROJECTS).parts}
]
# Each waits for the device, or would with a tensor on it.
READS = {"cpu", "numpy", "item", "tolist", "nonzero", "masked_select", "unique", "new_tensor"}
READS |= {"synchronize"}
ALLOWED = {
    "matching.drop_in.Matcher.forward": "other projects want their answer on the host; documented",
    "matching.drop_in._pairs": "on the host",
    "modeling.panoptic.PanopticMerger.__call__": "of results",
    "modeling.segmentation.add_masks": "of results",
    "ops.batched_assignment._check_counts": "of tensors on the host",
    "ops.batched_assignment._solve_on_host": "where there are no kernels, after a warning",
    "ops.batched_assignment_reference.batched_assignment_reference": "SciPy is on the host",
    "ops.drop_in._read": "other projects have level sizes on the device; documented",
    "ops.linear_sum_assignment._pairs": "SciPy's form of an answer; not used in a step",
    "ops.matching_cost_checks._check_labels": "of tensors on the host",
    "projects.route_detr.pictures._draw_links": "of what is drawn",
    "projects.route_detr.pictures._draw_matrices": "of what is drawn",
    "projects.route_detr.pictures.links": "of what is drawn",
    "projects.route_detr.recording._sorted": "of what is drawn",
    "structures.scaled_masks.ScaledMasks.__array__": "of results",
    "structures.scaled_masks.ScaledMasks.rles": "of results",
    "structures.targets._check_rows": "of tensors on the host",
}


def reads(source: str, module: str) -> Iterator[str]:
    """`module.function` of everything in `source` that reads; of a method also its class."""
    stack = [(module, ast.parse(source))]
    while stack:
        name, node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{name}.{node.name}"
        if isinstance(node, ast.Attribute) and node.attr in READS and not is_module(node):
            yield name
        stack += [(name, child) for child in ast.iter_child_nodes(node)]


def is_module(node: ast.Attribute) -> bool:
    """`torch.cpu`, which tells about processors."""
    return ast.unparse(node) == "torch.cpu"


def module_name(path: Path) -> str:
    start = PACKAGE if path.is_relative_to(PACKAGE) else ROOT
    return ".".join(path.relative_to(start).with_suffix("").parts)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_no_value_is_read_on_the_host(path: Path) -> None:
    found = set(reads(path.read_text(encoding="utf-8"), module_name(path)))
    assert not found - set(ALLOWED), "a training step may not wait for the device"


def test_what_is_allowed_is_there() -> None:
    found = {name for path in FILES for name in reads(path.read_text("utf-8"), module_name(path))}
    assert set(ALLOWED) <= found


@pytest.mark.parametrize(
    "line",
    [
        "cost.cpu()",
        "cost.detach().cpu().numpy()",
        "if mask.any().item(): pass",
        "torch.nonzero(mask)",
        "list(map(torch.Tensor.tolist, costs))",
    ],
)
def test_a_planted_read_is_found(line: str) -> None:
    source = f"class Matcher:\n    def forward(self, cost, mask, costs):\n        {line}\n"
    assert set(reads(source, "matching.new")) == {"matching.new.Matcher.forward"}


def test_other_uses_of_the_words_are_none() -> None:
    assert not list(reads("device.type == 'cpu' or {'item': 1}.items()", "layers.new"))
    assert not list(reads("torch.cpu.is_available()", "layers.new"))
