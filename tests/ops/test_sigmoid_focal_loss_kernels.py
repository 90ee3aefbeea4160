"""The kernels of the sigmoid focal loss against their twin, and PyTorch's own checks of the ops."""

import warnings

import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import extension, sigmoid_focal_loss, sigmoid_focal_loss_reference

pytestmark = pytest.mark.skipif(
    bool(extension.why_no_kernel("sigmoid_focal_loss", torch.device("cpu"))),
    reason=extension.why_no_kernel("sigmoid_focal_loss", torch.device("cpu")) or "built",
)
FORMS = [(0.25, 2.0), (0.6, 1.5), (0.5, 0.0)]
# Of a gradient: 16-bit dtypes are rounded to 1 in 256 or 2048.
TOLERANCES = {torch.float32: 3e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}
# Rows: fewer than a task, many tasks. Classes: one, a pack and a rest, more than a task has logits.
SIZES = [(1, 1, 1, 1), (2, 2, 7, 3), (3, 2, 300, 91), (1, 2, 2000, 17), (2, 1, 3, 9000)]


def draw(
    sizes: tuple[int, int, int, int] = (2, 2, 40, 11), dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    labels = torch.randint(-2, sizes[-1], sizes[:3])
    labels[..., ::3] = -1
    return (4 * torch.randn(sizes)).to(dtype).requires_grad_(), labels


def differentiate(function, logits: Tensor, labels: Tensor, *form: float) -> tuple[Tensor, Tensor]:
    """The loss, and the gradient of its layers weighted 1, -1/2, 1/3, ..."""
    loss = function(logits, labels, *form)
    weights = torch.tensor([(-1) ** n / (n + 1) for n in range(len(loss))], device=loss.device)
    return loss.detach(), torch.autograd.grad(loss, logits, weights.to(loss))[0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_the_twin_agrees(sizes, dtype: torch.dtype, form: tuple[float, float]) -> None:
    logits, labels = draw(sizes, dtype)
    loss, gradient = differentiate(sigmoid_focal_loss, logits, labels, *form)
    exact = logits.detach().double().requires_grad_()
    expected = differentiate(sigmoid_focal_loss_reference, exact, labels, *form)
    torch.testing.assert_close(loss.double(), expected[0], rtol=1e-6, atol=1e-7)
    assert gradient.dtype == dtype
    tolerance = TOLERANCES[dtype]
    torch.testing.assert_close(gradient.double(), expected[1], rtol=tolerance, atol=3e-7)


def test_extreme_logits_agree() -> None:
    logits = torch.linspace(-150, 150, 2400).view(2, 2, 30, 20).requires_grad_()
    labels = torch.arange(-2, 18).repeat(6).view(2, 2, 30)
    for form in FORMS:
        answer = differentiate(sigmoid_focal_loss, logits, labels, *form)
        exact = logits.detach().double().requires_grad_()
        expected = differentiate(sigmoid_focal_loss_reference, exact, labels, *form)
        for one, other in zip(answer, expected, strict=True):
            torch.testing.assert_close(one.double(), other, rtol=3e-6, atol=1e-12)


def test_any_number_of_threads_gives_the_same() -> None:
    logits, labels = draw((3, 2, 1500, 23))
    before = torch.get_num_threads()
    answers = []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            answers.append(differentiate(sigmoid_focal_loss, logits, labels))
    finally:
        torch.set_num_threads(before)
    for others in answers[1:]:
        assert all(map(torch.equal, answers[0], others))


@pytest.mark.parametrize("label", [-3, 11, 2**40, -(2**40)])
def test_an_unknown_label_is_no_index_and_shows(label: int) -> None:
    """The Python function says so on the host; on a GPU the kernel meets it."""
    logits, labels = draw()
    labels[1, 0, 5] = label
    loss = torch.ops.hdetr_d2.sigmoid_focal_loss(logits, labels, 0.25, 2.0)
    assert loss.isnan().tolist() == [False, True]
    assert sigmoid_focal_loss_reference(logits, labels).isnan().tolist() == [False, True]
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert gradient[1, 0, 5].isnan().all()
    assert int(gradient.isnan().sum()) == 11


@pytest.mark.filterwarnings("default")
def test_the_twin_answers_without_kernels_after_one_warning(without_kernels) -> None:
    logits, labels = draw()
    with pytest.warns(UserWarning, match="in PyTorch's own operations, slower: They are not built"):
        loss = sigmoid_focal_loss(logits, labels)
    assert torch.equal(loss, sigmoid_focal_loss_reference(logits, labels))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sigmoid_focal_loss(logits, labels)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_opcheck(dtype: torch.dtype) -> None:
    logits, labels = draw(dtype=dtype)
    ops, form = torch.ops.hdetr_d2, (0.25, 2.0)
    torch.library.opcheck(ops.sigmoid_focal_loss.default, (logits, labels, *form))
    arguments = (torch.tensor([1.0, -2.0]), logits.detach(), labels, *form)
    torch.library.opcheck(ops.sigmoid_focal_loss_backward.default, arguments)


def test_a_second_derivative_is_refused() -> None:
    logits, labels = draw()
    loss = sigmoid_focal_loss(logits, labels)
    (gradient,) = torch.autograd.grad(loss.square().sum(), logits, create_graph=True)
    with pytest.raises(RuntimeError, match="sigmoid_focal_loss has no second derivative"):
        gradient.sum().backward()


@pytest.mark.usefixtures("forget_graphs")
def test_a_compiled_graph() -> None:
    logits, labels = draw()
    compiled = torch.compile(sigmoid_focal_loss, fullgraph=True, backend="aot_eager")
    answer = differentiate(compiled, logits, labels)
    assert all(map(torch.equal, answer, differentiate(sigmoid_focal_loss, logits, labels)))


def test_a_fake_step_needs_no_numbers() -> None:
    logits, labels = draw(dtype=torch.bfloat16)
    plain = logits.detach()
    with torch._subclasses.FakeTensorMode() as mode:
        fake = mode.from_tensor(plain).requires_grad_()
        loss, gradient = differentiate(sigmoid_focal_loss, fake, mode.from_tensor(labels))
    assert (loss.shape, loss.dtype) == ((2,), torch.float32)
    assert (gradient.shape, gradient.dtype) == (logits.shape, torch.bfloat16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(logits=torch.zeros(2, 2, 40)), r"logits must be \[L, B, Q, K\]"),
        (dict(logits=torch.zeros(2, 2, 40, 11, dtype=torch.float64)), "float32, float16 or"),
        (dict(labels=torch.zeros(2, 2, 40)), "labels must be int64"),
        (dict(labels=torch.zeros(2, 2, 41, dtype=torch.int64)), r"labels must be \[L, B, Q\]"),
        (dict(gamma=-1.0), "at least 0, not -1"),
    ],
)
def test_the_ops_check_what_they_are_given(change: dict, message: str) -> None:
    logits, labels = draw()
    given = dict(logits=logits.detach(), labels=labels, alpha=0.25, gamma=2.0) | change
    with pytest.raises(RuntimeError, match=message):
        torch.ops.hdetr_d2.sigmoid_focal_loss(*given.values())
    with pytest.raises(RuntimeError, match=message):
        torch.ops.hdetr_d2.sigmoid_focal_loss_backward(torch.zeros(2), *given.values())


@pytest.mark.parametrize(
    "grad_loss", [torch.zeros(3), torch.zeros(2, 1), torch.zeros(2, dtype=torch.float64)]
)
def test_the_backward_refuses_another_gradient(grad_loss: Tensor) -> None:
    with pytest.raises(RuntimeError, match="the gradient of the loss must be"):
        torch.ops.hdetr_d2.sigmoid_focal_loss_backward(grad_loss, *draw(), 0.25, 2.0)


@pytest.mark.needs_cuda
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_a_gpu_gives_the_same_and_always_the_same_bits(dtype: torch.dtype) -> None:
    logits, labels = (each.detach().cuda() for each in draw((6, 2, 900, 91), dtype))
    answers = [differentiate(sigmoid_focal_loss, logits.requires_grad_(), labels) for _ in range(2)]
    assert all(map(torch.equal, *answers))
    exact = logits.detach().double().requires_grad_()
    loss, gradient = differentiate(sigmoid_focal_loss_reference, exact, labels)
    torch.testing.assert_close(answers[0][0].double(), loss, rtol=2e-6, atol=1e-7)
    tolerance = TOLERANCES[dtype]
    torch.testing.assert_close(answers[0][1].double(), gradient, rtol=tolerance, atol=3e-7)
