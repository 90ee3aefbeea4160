"""The kernels of the matching cost against their twin, and PyTorch's own checks of the op."""

import warnings

import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import (
    CostWeights,
    FocalCost,
    SoftmaxCost,
    extension,
    matching_cost,
    matching_cost_reference,
)

pytestmark = pytest.mark.skipif(
    bool(extension.why_no_kernel("matching_cost", torch.device("cpu"))),
    reason=extension.why_no_kernel("matching_cost", torch.device("cpu")) or "built",
)
WEIGHTS = CostWeights(2.0, 5.0, 2.0)
COSTS = [FocalCost(), FocalCost(0.6, 1.5), FocalCost(gamma=0.0), SoftmaxCost()]
STRANGE = torch.tensor([torch.nan, torch.inf, -torch.inf])


def draw(
    problems: int = 4,
    queries: int = 70,
    classes: int = 11,
    targets: int = 9,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Tensors of the op, of two images."""
    logits, boxes = 4 * torch.randn(problems, queries, classes), torch.rand(problems, queries, 4)
    labels, target_boxes = torch.randint(classes, (2, targets)), torch.rand(2, targets, 4)
    return logits.to(dtype), boxes, labels, target_boxes, torch.tensor([targets, targets // 2])


def both(inputs: tuple, class_cost) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Of the kernels and of the twin."""
    return (
        matching_cost(*inputs, class_cost=class_cost, weights=WEIGHTS),
        matching_cost_reference(*inputs, class_cost=class_cost, weights=WEIGHTS),
    )


# Queries: one, a pack and a rest, blocks of them and a rest. Classes: fewer than a pack, a rest.
SIZES = [
    dict(queries=1, classes=1, targets=1),
    dict(queries=9, classes=3, targets=5),
    dict(queries=64, classes=16, targets=20),
    dict(queries=300, classes=91, targets=30),
    dict(problems=2, queries=1000, classes=20, targets=3),
]


@pytest.mark.parametrize("class_cost", COSTS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_the_twin_agrees(class_cost, sizes: dict, dtype: torch.dtype) -> None:
    (cost, nonfinite), (expected, _) = both(draw(**sizes, dtype=dtype), class_cost)
    torch.testing.assert_close(cost, expected, rtol=2e-6, atol=4e-6)
    assert not nonfinite.any()


@pytest.mark.parametrize("class_cost", COSTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_they_agree_on_what_is_not_finite(class_cost, dtype: torch.dtype) -> None:
    for share in (0.003, 0.03, 0.3):
        inputs = draw(queries=133, dtype=dtype)
        for tensor in (inputs[0], inputs[1], inputs[3]):
            broken = torch.rand(tensor.shape) < share
            tensor[broken] = STRANGE[torch.randint(3, (int(broken.sum()),))].to(tensor.dtype)
        (cost, nonfinite), (expected, counts) = both(inputs, class_cost)
        torch.testing.assert_close(cost, expected, rtol=2e-6, atol=4e-6)
        assert torch.equal(nonfinite, counts)
        assert counts.any()


@pytest.mark.parametrize("class_cost", COSTS)
def test_they_agree_on_extreme_logits(class_cost) -> None:
    inputs = draw(queries=41)
    inputs[0][...] = torch.linspace(-120, 120, inputs[0].numel()).view(inputs[0].shape)
    inputs[0][:, ::3] *= 1e36
    (cost, nonfinite), (expected, counts) = both(inputs, class_cost)
    torch.testing.assert_close(cost, expected, rtol=2e-6, atol=4e-6)
    assert torch.equal(nonfinite, counts)


@pytest.mark.parametrize("class_cost", COSTS)
@pytest.mark.parametrize("side", [1e-3, 2e-4, 1e-6, 1e-25, 0.0])
def test_they_agree_on_small_boxes(class_cost, side: float) -> None:
    logits, boxes, labels, target_boxes, counts = draw(queries=41)
    for place in (boxes, target_boxes):
        place[..., 2:] *= side
    boxes[:, :9] = target_boxes.repeat(2, 1, 1)
    inputs = (logits, boxes, labels, target_boxes, counts)
    (cost, nonfinite), (expected, _) = both(inputs, class_cost)
    torch.testing.assert_close(cost, expected, rtol=2e-6, atol=4e-6)
    assert not nonfinite.any()


@pytest.mark.parametrize("side", [0.1, 2e-4, 1e-6])
def test_equal_boxes_of_any_size_have_the_giou_1(side: float) -> None:
    box, label = torch.tensor([[[0.5, 0.5, side, side]]]), torch.zeros(1, 1).long()
    inputs = (torch.zeros(1, 1, 1), box, label, box, torch.ones(1).long())
    weights = CostWeights(0.0, 0.0, 1.0)
    cost, _ = matching_cost(*inputs, class_cost=FocalCost(), weights=weights)
    assert cost.item() == pytest.approx(-1.0, abs=1e-6)


def test_a_label_that_no_logit_stands_for_has_no_cost() -> None:
    """The Python function says so on the host; on a GPU the kernel meets it."""
    logits, boxes, labels, target_boxes, counts = draw(problems=2)
    labels[0, 3], labels[1, 1], labels[1, 8] = 11, -1, 99  # the last is padding
    cost, nonfinite = torch.ops.hdetr_d2.matching_cost(
        logits, boxes, labels, target_boxes, counts, 0, 0.25, 2.0, [2.0, 5.0, 2.0]
    )
    expected, _ = matching_cost_reference(
        logits, boxes, labels, target_boxes, counts, class_cost=FocalCost(), weights=WEIGHTS
    )
    torch.testing.assert_close(cost, expected)
    assert nonfinite.tolist() == [[70, 0, 0], [70, 0, 0]]


def test_any_number_of_threads_gives_the_same() -> None:
    inputs = draw(queries=3000)
    inputs[1][0, 5] = torch.nan
    before = torch.get_num_threads()
    answers = []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            answers.append(matching_cost(*inputs, class_cost=FocalCost(), weights=WEIGHTS))
    finally:
        torch.set_num_threads(before)
    for others in answers[1:]:
        assert all(map(torch.equal, answers[0], others))


@pytest.mark.filterwarnings("default")
def test_the_twin_answers_without_kernels_after_one_warning(without_kernels) -> None:
    inputs = draw()
    with pytest.warns(UserWarning, match="in PyTorch's own operations, slower: They are not built"):
        answer, twin = both(inputs, FocalCost())
    assert all(map(torch.equal, answer, twin))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        both(inputs, FocalCost())


@pytest.mark.filterwarnings("error")
def test_a_class_cost_of_ones_own_needs_no_warning(without_kernels) -> None:
    class Twice(FocalCost):
        def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
            return 2 * super().__call__(logits, labels)

    (answer, _), (twin, _) = both(draw(), Twice())
    assert torch.equal(answer, twin)


@pytest.mark.parametrize("form", [0, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_opcheck(form: int, dtype: torch.dtype) -> None:
    arguments = (*draw(dtype=dtype), form, 0.25, 2.0, [2.0, 5.0, 2.0])
    torch.library.opcheck(torch.ops.hdetr_d2.matching_cost, arguments)


@pytest.mark.usefixtures("forget_graphs")
@pytest.mark.parametrize("class_cost", COSTS[2:])
def test_a_compiled_graph(class_cost) -> None:
    def cost(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        return matching_cost(*tensors, class_cost=class_cost, weights=WEIGHTS)

    inputs = draw()
    compiled = torch.compile(cost, fullgraph=True, backend="aot_eager")
    assert all(map(torch.equal, compiled(*inputs), cost(*inputs)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(logits=torch.zeros(4, 7)), r"logits must be \[P, Q, K\]"),
        (dict(logits=torch.zeros(4, 70, 11, dtype=torch.float64)), "float32, float16 or bfloat16"),
        (dict(boxes=torch.zeros(4, 70, 4, dtype=torch.float16)), "boxes must be float32"),
        (dict(boxes=torch.zeros(4, 69, 4)), "boxes does not fit"),
        (dict(labels=torch.zeros(2, 9, dtype=torch.int32)), "labels must be int64"),
        (dict(labels=torch.zeros(18, dtype=torch.int64)), r"labels must be \[B, G\]"),
        (dict(target_boxes=torch.zeros(2, 9, 3)), "target_boxes does not fit"),
        (dict(counts=torch.tensor([1])), "num_targets does not fit"),
        (dict(counts=torch.tensor([1, 10])), r"num_targets\[1\] is 10"),
        (dict(counts=torch.tensor([-1, 0])), r"num_targets\[0\] is -1"),
        (
            dict(logits=torch.zeros(3, 70, 11), boxes=torch.zeros(3, 70, 4)),
            "3 problems cannot belong to 2 images",
        ),
        (dict(form=2), "there is no class cost 2"),
        (dict(gamma=-1.0), "at least 0, not -1"),
        (dict(weights=[1.0, 2.0]), "there are 3 weights, not 2"),
    ],
)
def test_the_op_checks_what_it_is_given(change: dict, message: str) -> None:
    names = ("logits", "boxes", "labels", "target_boxes", "counts")
    given = dict(zip(names, draw(), strict=True))
    given |= dict(form=0, alpha=0.25, gamma=2.0, weights=[2.0, 5.0, 2.0]) | change
    with pytest.raises(RuntimeError, match=message):
        torch.ops.hdetr_d2.matching_cost(*given.values())


@pytest.mark.needs_cuda
@pytest.mark.parametrize("class_cost", COSTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_gpu_gives_the_same(class_cost, dtype: torch.dtype) -> None:
    inputs = draw(queries=300, targets=40, dtype=dtype)
    inputs[0][0, 3] = torch.nan
    inputs[1][1, 5, 2] = torch.inf
    (cost, nonfinite), (expected, counts) = both(tuple(t.cuda() for t in inputs), class_cost)
    torch.testing.assert_close(cost, expected, rtol=2e-6, atol=4e-6)
    assert torch.equal(nonfinite, counts)
    again = matching_cost(*(t.cuda() for t in inputs), class_cost=class_cost, weights=WEIGHTS)
    assert torch.equal(again[0], cost)
