"""The losses of boxes by hand, and the kernels against their twin."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import (
    box_cxcywh_to_xyxy,
    box_losses,
    box_losses_reference,
    extension,
    generalized_box_iou,
)

with_kernels = pytest.mark.skipif(
    bool(extension.why_no_kernel("box_losses", torch.device("cpu"))),
    reason=extension.why_no_kernel("box_losses", torch.device("cpu")) or "built",
)
BOTH = pytest.mark.parametrize(
    "function", [pytest.param(box_losses, marks=with_kernels), box_losses_reference]
)


def draw(problems: int = 3, rows: int = 40, targets: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes that learn, targets, and the targets of half of the boxes."""
    boxes = torch.rand(problems, rows, 4) * torch.tensor([1.0, 1.0, 0.6, 0.6])
    truth = torch.rand(problems, targets, 4) * torch.tensor([1.0, 1.0, 0.6, 0.6])
    index = torch.randint(-targets, targets, (problems, rows))
    return boxes.requires_grad_(), truth, index


def differentiate(function: Callable, boxes: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
    """The losses, and the gradient of their sum with weights."""
    losses = function(boxes, *others)
    weights = torch.linspace(-1, 1, losses.numel(), device=losses.device).view(losses.shape)
    return losses.detach(), torch.autograd.grad(losses, boxes, weights.to(losses))[0]


@BOTH
def test_by_hand(function: Callable) -> None:
    """Two squares of side 0.2, a side of 0.1 apart: a hull of 0.5 x 0.2 with 0.02 to spare. A box
    within another: 0.04 of 0.16.
    """
    boxes = torch.tensor([[[0.1, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2], [0.3, 0.3, 0.2, 0.2]]])
    truth = torch.tensor([[[0.5, 0.5, 0.4, 0.4], [0.4, 0.5, 0.2, 0.2]]])
    losses = function(boxes, truth, torch.tensor([[1, 0, -1]]))
    expected = torch.tensor([[[0.3, 1 + 0.02 / 0.1], [0.4, 0.75], [0.0, 0.0]]])
    torch.testing.assert_close(losses, expected)


@BOTH
def test_what_has_no_target_has_no_loss_and_no_gradient(function: Callable) -> None:
    boxes = torch.tensor([[[torch.nan] * 4, [torch.inf] * 4, [0.5] * 4]], requires_grad=True)
    losses, gradient = differentiate(
        function, boxes, torch.full((1, 1, 4), 0.4), torch.tensor([[-1, -2, 0]])
    )
    assert not losses[0, :2].any()
    assert not gradient[0, :2].any()
    assert gradient[0, 2].all()


@BOTH
@pytest.mark.parametrize("sizes", [(0, 3, 2), (2, 0, 3), (2, 3, 0)], ids=str)
def test_empty(function: Callable, sizes: tuple[int, int, int]) -> None:
    problems, rows, targets = sizes
    boxes = torch.rand(problems, rows, 4, requires_grad=True)
    index = torch.full((problems, rows), -1)
    losses, gradient = differentiate(function, boxes, torch.rand(problems, targets, 4), index)
    assert losses.shape == (problems, rows, 2)
    assert not losses.any()
    assert not gradient.any()


@BOTH
def test_boxes_without_area_have_finite_gradients(function: Callable) -> None:
    """At one place, elsewhere, and only one of both."""
    boxes = torch.tensor([[[0.5, 0.5, 0.0, 0.0], [0.1, 0.1, 0.0, 0.3], [0.2, 0.3, 0.2, 0.2]]])
    truth = torch.tensor([[[0.5, 0.5, 0.0, 0.0]]])
    given = (boxes.requires_grad_(), truth, torch.zeros(1, 3, dtype=torch.int64))
    assert all(each.isfinite().all() for each in differentiate(function, *given))


def test_the_twin_is_made_of_the_functions_on_boxes() -> None:
    boxes, truth, index = draw()
    index = index.clamp(min=0)
    wanted = truth.gather(1, index[..., None].expand(-1, -1, 4))
    distance = (boxes - wanted).abs().sum(-1)
    giou = generalized_box_iou(box_cxcywh_to_xyxy(boxes), box_cxcywh_to_xyxy(wanted))
    found = box_losses_reference(boxes, truth, index)
    torch.testing.assert_close(found, torch.stack([distance, 1 - giou], -1))


def test_the_twin_has_the_gradient_of_differences() -> None:
    boxes, truth, index = draw(2, 6, 3)
    exact = boxes.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(box_losses, (exact, truth.double(), index))


@with_kernels
@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 40, 7), (12, 900, 30), (2, 20_000, 3)], ids=str)
def test_the_kernels_agree_with_the_twin(sizes: tuple[int, int, int]) -> None:
    boxes, truth, index = draw(*sizes)
    found = differentiate(box_losses, boxes, truth, index)
    exact = boxes.detach().double().requires_grad_()
    wanted = differentiate(box_losses_reference, exact, truth.double(), index)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5)


@with_kernels
def test_ties_share_the_gradient_as_with_the_twin() -> None:
    """Edges of box and target that are one: the same box, and one that shares a corner."""
    boxes = torch.tensor(
        [[[0.5, 0.5, 0.5, 0.5], [0.375, 0.375, 0.25, 0.25], [0.5, 0.25, 0.5, 0.25]]]
    )
    truth = torch.tensor([[[0.5, 0.5, 0.5, 0.5]]])
    given = (boxes.requires_grad_(), truth, torch.zeros(1, 3, dtype=torch.int64))
    found, wanted = (differentiate(each, *given) for each in (box_losses, box_losses_reference))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


@with_kernels
def test_an_unknown_index_is_never_looked_up_and_shows() -> None:
    """The Python function says so on the host; on a GPU the kernel meets it."""
    boxes, truth, index = draw()
    index[1, 5], index[2, 0] = 7, 2**40
    for function in (torch.ops.hdetr_d2.box_losses, box_losses_reference):
        losses = function(boxes, truth, index)
        assert losses.isnan().sum() == 4
        assert losses[1, 5].isnan().all()
    with pytest.raises(ValueError, match=f"There is the index {2**40}, but there are 7 targets"):
        box_losses(boxes, truth, index)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(boxes=torch.zeros(3, 40)), ValueError, r"takes boxes \[P, N, 4\]"),
        (dict(boxes=torch.zeros(3, 40, 5)), ValueError, r"not \(3, 40, 5\)"),
        (dict(truth=torch.zeros(2, 7, 4)), ValueError, r"truth \[P, G, 4\]"),
        (dict(truth=torch.zeros(3, 7, 4, requires_grad=True)), ValueError, "detach it"),
        (dict(truth=torch.zeros(3, 7, 4, device="meta")), ValueError, "truth is on meta"),
        (dict(boxes=torch.zeros(3, 40, 4, dtype=torch.int64)), TypeError, "must be floating"),
        (dict(index=torch.zeros(3, 40)), TypeError, "index must be int64"),
        (dict(index=torch.zeros(3, 41, dtype=torch.int64)), ValueError, r"index \[P, N\]"),
    ],
)
def test_what_does_not_fit_is_told(change: dict, error: type, message: str) -> None:
    given = dict(zip(("boxes", "truth", "index"), draw(), strict=True)) | change
    with pytest.raises(error, match=message):
        box_losses(**given)


@with_kernels
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(boxes=torch.zeros(3, 40, 5)), r"boxes must be \[P, N, 4\]"),
        (dict(truth=torch.zeros(2, 7, 4)), r"truth must be \[P, G, 4\]"),
        (dict(index=torch.zeros(3, 41, dtype=torch.int64)), r"index must be \[P, N\]"),
        (dict(truth=torch.zeros(3, 7, 4, dtype=torch.float64)), "must be float32"),
        (dict(index=torch.zeros(3, 40)), "index must be int64"),
    ],
)
def test_the_ops_check_what_they_are_given(change: dict, message: str) -> None:
    given = dict(zip(("boxes", "truth", "index"), draw(), strict=True)) | change
    with pytest.raises(RuntimeError, match=message):
        torch.ops.hdetr_d2.box_losses(*given.values())
    with pytest.raises(RuntimeError, match=message):
        torch.ops.hdetr_d2.box_losses_backward(torch.zeros(3, 40, 2), *given.values())


@with_kernels
@pytest.mark.parametrize("gradient", [torch.zeros(3, 40), torch.zeros(3, 40, 2).double()])
def test_the_backward_refuses_another_gradient(gradient: Tensor) -> None:
    with pytest.raises(RuntimeError, match="the gradient of the losses must be"):
        torch.ops.hdetr_d2.box_losses_backward(gradient, *draw())


@with_kernels
def test_opcheck() -> None:
    boxes, truth, index = draw()
    torch.library.opcheck(torch.ops.hdetr_d2.box_losses.default, (boxes, truth, index))
    arguments = (torch.rand(3, 40, 2), boxes.detach(), truth, index)
    torch.library.opcheck(torch.ops.hdetr_d2.box_losses_backward.default, arguments)


def test_a_graph_is_recorded_with_an_index_that_is_given() -> None:
    """torch.func.linearize takes it as a constant, whose numbers nobody reads then."""
    boxes, truth, index = draw()
    _, push = torch.func.linearize(lambda x: box_losses(x, truth, index), boxes.detach())
    along = torch.ones_like(boxes)
    found = torch.func.jvp(lambda x: box_losses(x, truth, index), (boxes.detach(),), (along,))[1]
    torch.testing.assert_close(push(along), found)


def test_sixteen_bits_are_computed_in_float32() -> None:
    boxes, truth, index = draw()
    rounded = boxes.detach().bfloat16()
    losses = box_losses(rounded, truth, index)
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, box_losses_reference(rounded.float(), truth, index))


@pytest.mark.filterwarnings("default")
def test_the_twin_answers_without_kernels_after_one_warning(without_kernels: None) -> None:
    given = draw()
    with pytest.warns(UserWarning, match="in PyTorch's own operations, slower: They are not built"):
        losses = box_losses(*given)
    assert torch.equal(losses, box_losses_reference(*given))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        box_losses(*given)


@pytest.mark.usefixtures("forget_graphs")
def test_a_compiled_graph() -> None:
    given = draw()
    compiled = torch.compile(box_losses, fullgraph=True, backend="aot_eager")
    answer = differentiate(compiled, *given)
    assert all(map(torch.equal, answer, differentiate(box_losses, *given)))


@pytest.mark.needs_cuda
def test_a_gpu_gives_the_same() -> None:
    boxes, truth, index = draw(12, 900, 30)
    moved = (boxes.detach().cuda().requires_grad_(), truth.cuda(), index.cuda())
    found = differentiate(box_losses, *moved)
    exact = boxes.detach().double().requires_grad_()
    wanted = differentiate(box_losses_reference, exact, truth.double(), index)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.double().cpu(), other, rtol=1e-5, atol=1e-5)
