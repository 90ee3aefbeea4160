"""The sigmoid focal loss by hand, against torchvision's, and at its limits."""

import math

import pytest
import torch
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss as dense_focal_loss

from hdetr_d2.ops import sigmoid_focal_loss, sigmoid_focal_loss_reference
from hdetr_d2.ops.extension import why_no_kernel

BACKGROUND, NO_LOSS = -1, -2
FORMS = [(0.25, 2.0), (0.6, 1.5), (0.5, 0.0)]


def draw(
    *shape: int, classes: int = 5, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    logits = 3 * torch.randn(*shape, classes)
    return logits.to(dtype).requires_grad_(), torch.randint(NO_LOSS, classes, shape)


def by_one_hot(logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> Tensor:
    """As losses in public have it: a target for every logit."""
    hot = torch.nn.functional.one_hot(labels.clamp(min=0), logits.shape[-1])
    hot = (hot * (labels >= 0)[..., None]).to(logits)
    dense = dense_focal_loss(logits, hot, alpha, gamma, reduction="none")
    return (dense * (labels != NO_LOSS)[..., None]).sum((1, 2, 3))


def test_by_hand():
    # p = 1/2 everywhere: a positive is 1/4 * 1/4 * ln 2, a negative 3/4 * 1/4 * ln 2.
    logits = torch.zeros(2, 1, 2, 3, requires_grad=True)
    labels = torch.tensor([[[1, BACKGROUND]], [[NO_LOSS, 0]]])
    loss = sigmoid_focal_loss(logits, labels)
    log = math.log(2)
    expected = [(1 + 5 * 3) / 16 * log, (1 + 2 * 3) / 16 * log]
    assert loss.tolist() == pytest.approx(expected)
    (2 * loss[1]).backward()
    # By the logit: -1/4 * 1/4 * (ln 2 + 1/2), and 3/4 * 1/4 * (ln 2 + 1/2).
    slope = 2 * (log + 0.5) / 16
    assert logits.grad[1, 0].flatten().tolist() == pytest.approx(
        [0, 0, 0, -slope] + [3 * slope] * 2
    )
    assert not logits.grad[0].any()


@pytest.mark.parametrize(("alpha", "gamma"), FORMS)
def test_against_dense_targets(alpha: float, gamma: float):
    logits, labels = draw(3, 2, 40, classes=11)
    loss, expected = (f(logits, labels, alpha, gamma) for f in (sigmoid_focal_loss, by_one_hot))
    torch.testing.assert_close(loss, expected)
    weights = torch.tensor([1.0, -2.0, 0.5])
    gradients = [torch.autograd.grad(each, logits, weights)[0] for each in (loss, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(("alpha", "gamma"), FORMS)
def test_gradients_of_the_twin(alpha: float, gamma: float):
    logits, labels = draw(2, 1, 4, classes=3, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda each: sigmoid_focal_loss_reference(each, labels, alpha, gamma), logits
    )
    assert sigmoid_focal_loss(logits, labels, alpha, gamma).dtype == torch.float64


@pytest.mark.parametrize("function", [sigmoid_focal_loss, sigmoid_focal_loss_reference])
def test_padding_has_neither_loss_nor_gradient_whatever_it_predicts(function):
    logits = torch.tensor([[[[1.0], [math.nan], [math.inf]]]], requires_grad=True)
    loss = function(logits, torch.tensor([[[0, NO_LOSS, NO_LOSS]]]))
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert loss.isfinite().all()
    assert gradient[0, 0, 1:].tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("number", [math.nan, -math.inf])
def test_a_broken_prediction_shows_in_its_layer(number: float):
    logits = torch.tensor([[[[0.0, number]]], [[[0.0, 0.0]]]])
    loss = sigmoid_focal_loss(logits, torch.ones(2, 1, 1, dtype=torch.int64))
    assert loss.isfinite().tolist() == [False, True]


@pytest.mark.parametrize("logit", [-200.0, 200.0])
@pytest.mark.parametrize(("alpha", "gamma"), FORMS)
def test_extreme_logits_have_finite_losses_and_slopes(alpha: float, gamma: float, logit: float):
    logits = torch.full((1, 1, 2, 2), logit, requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([[[0, BACKGROUND]]]), alpha, gamma)
    # The one positive, or the three negatives, are hopeless: linear in the logit.
    expected = alpha * 200 if logit < 0 else (1 - alpha) * 600
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.sum().backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", [0.25, 0.5, 0.99, 1.0])
def test_small_powers_have_finite_slopes_where_a_probability_is_none(
    gamma: float, dtype: torch.dtype
):
    """0 ** gamma has an infinite slope for a gamma below 1."""
    logits = torch.tensor([[[[2e3, -2e3], [2e3, -2e3]]]], dtype=dtype, requires_grad=True)
    labels = torch.tensor([[[0, 1]]])
    for function in (sigmoid_focal_loss, sigmoid_focal_loss_reference):
        (slopes,) = torch.autograd.grad(function(logits, labels, gamma=gamma), logits)
        assert slopes.tolist() == [[[[0, 0], [0.75, -0.25]]]]


@pytest.mark.parametrize("function", [sigmoid_focal_loss, sigmoid_focal_loss_reference])
def test_a_graph_is_recorded_with_labels_that_are_given(function):
    """torch.func.linearize and make_fx take them as constants; nobody reads these then."""
    logits, labels = torch.randn(1, 1, 3, 4), torch.tensor([[[0, BACKGROUND, NO_LOSS]]])
    loss, push = torch.func.linearize(lambda x: function(x, labels), logits)
    wanted, tangent = torch.func.jvp(
        lambda x: function(x, labels), (logits,), (torch.ones_like(logits),)
    )
    torch.testing.assert_close(loss, wanted)
    torch.testing.assert_close(push(torch.ones_like(logits)), tangent)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bits_are_summed_in_float32_under_autocast_too(dtype: torch.dtype):
    logits, labels = draw(2, 2, 300, classes=80, dtype=dtype)
    loss = sigmoid_focal_loss(logits, labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, sigmoid_focal_loss(logits.float(), labels))
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert gradient.dtype == dtype
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(sigmoid_focal_loss(logits, labels), loss)


@pytest.mark.parametrize(
    "shape", [(2, 0, 3, 4), (2, 3, 0, 4), (1, 0, 0, 4), (0, 1, 2, 3), (2, 1, 3, 0)]
)
def test_nothing_to_learn(shape: tuple[int, ...]):
    logits = torch.zeros(shape, requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.full(shape[:3], BACKGROUND))
    assert loss.tolist() == [0.0] * shape[0]
    loss.sum().backward()
    assert logits.grad.shape == shape


def test_any_strides():
    logits, labels = draw(3, 2, 8, classes=7)
    turned = logits.detach().transpose(0, 3).contiguous().transpose(0, 3).requires_grad_()
    other = labels.mT.contiguous().mT
    loss, same = sigmoid_focal_loss(logits, labels), sigmoid_focal_loss(turned, other)
    one, two = torch.autograd.grad(loss.sum() + same.sum(), (logits, turned))
    # The kernels sum in one order, PyTorch's operations in that of the memory.
    cpu = torch.device("cpu")
    exact = {} if why_no_kernel("sigmoid_focal_loss", cpu) else dict(rtol=0, atol=0)
    torch.testing.assert_close(loss, same, **exact)
    torch.testing.assert_close(one, two, **exact)


@pytest.mark.parametrize(
    ("logits", "labels", "gamma", "error", "sentence"),
    [
        (torch.zeros(1, 2, 3), torch.zeros(1, 2, 3).long(), 2.0, ValueError, r"\[L, B, Q, K\]"),
        (torch.zeros(1, 2, 3, 4), torch.zeros(1, 3, 2).long(), 2.0, ValueError, r"\[L, B, Q\]"),
        (torch.zeros(1, 2, 3, 4), torch.full((1, 2, 3), 4), 2.0, ValueError, "the label 4, but"),
        (torch.zeros(1, 2, 3, 4), torch.full((1, 2, 3), -3), 2.0, ValueError, "the label -3, but"),
        (torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3).long(), -1.0, ValueError, "at least 0"),
        (torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3), 2.0, TypeError, "labels must be int64"),
        (torch.zeros(1, 2, 3, 4).long(), torch.zeros(1, 2, 3).long(), 2.0, TypeError, "floating"),
        (
            torch.zeros(1, 2, 3, 4, device="meta"),
            torch.zeros(1, 2, 3).long(),
            2.0,
            ValueError,
            "labels is on cpu, but logits on meta",
        ),
    ],
)
def test_what_does_not_fit_is_told(
    logits: Tensor, labels: Tensor, gamma: float, error: type, sentence: str
):
    with pytest.raises(error, match=sentence):
        sigmoid_focal_loss(logits, labels, gamma=gamma)
