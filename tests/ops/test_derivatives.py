"""Every operator in every mode of PyTorch's automatic differentiation: the right numbers or a
sentence, never zeros without a word."""

import hdetr_d2  # noqa: F401
from hdetr_d2 import ops

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from hdetr_d2.ops import extension

sys.path.insert(0, str(Path(__file__).parent))
from attention_inputs import SHAPES, random_inputs, random_rows

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*runs in PyTorch's own operations"),
    pytest.mark.filterwarnings("ignore:.*runs by SciPy on the host"),
]


class Case(NamedTuple):
    """An operator as a function of one tensor, and a form of it that reverse mode differentiates in
    float64.
    """

    function: Callable[[Tensor], Tensor]
    exact: Callable[[Tensor], Tensor]
    at: Tensor


def attention_case(place: int, dtype: torch.dtype) -> Callable[[Callable], Case]:
    """In value (0), locations (1) or weights (2)."""

    def make(function: Callable) -> Case:
        value, _, locations, weights = random_inputs(queries=3, heads=2)
        tensors = [value, locations, weights]

        def call(function: Callable, tensor: Tensor, dtype: torch.dtype) -> Tensor:
            v, s, w = (tensor if i == place else each.to(dtype) for i, each in enumerate(tensors))
            return function(v, SHAPES, s, w)

        return Case(
            lambda tensor: call(function, tensor, dtype),
            lambda tensor: call(ops.ms_deform_attn_reference, tensor, torch.float64),
            tensors[place].to(dtype),
        )

    return make


def fused_case(place: int, numbers: int, dtype: torch.dtype) -> Callable[[Callable], Case]:
    """In value (0), a reference of 2 or 4 numbers (1) or rows (2)."""

    def make(function: Callable) -> Case:
        tensors = [each.to(dtype) for each in random_rows(queries=3, heads=2, numbers=numbers)]

        def call(function: Callable, tensor: Tensor) -> Tensor:
            given = (tensor if i == place else t.to(tensor) for i, t in enumerate(tensors))
            value, reference, rows = given
            return function(value, SHAPES, reference, rows)

        return Case(
            lambda tensor: call(function, tensor),
            lambda tensor: call(ops.ms_deform_attn_fused_reference, tensor),
            tensors[place],
        )

    return make


def focal_case(dtype: torch.dtype) -> Callable[[Callable], Case]:
    labels = torch.tensor([[[2, -1, 0], [-2, 1, -1]], [[0, 0, -1], [-1, -2, 2]]])

    def make(function: Callable) -> Case:
        logits = torch.randn(2, 2, 3, 3, dtype=dtype)
        return Case(
            lambda tensor: function(tensor, labels),
            lambda tensor: ops.sigmoid_focal_loss_reference(tensor, labels),
            logits,
        )

    return make


def affine_case(place: int, dtype: torch.dtype) -> Callable[[Callable], Case]:
    """In x (0) or the residual (1)."""
    scale, shift = torch.tensor([[1.5, -0.5, 0.7], [0.1, 0.2, -0.3]])

    def make(function: Callable) -> Case:
        maps = [torch.randn(2, 3, 2, 4, dtype=dtype) for _ in range(2)]

        def call(function: Callable, tensor: Tensor) -> Tensor:
            x, residual = (tensor if i == place else t.to(tensor) for i, t in enumerate(maps))
            return function(x, scale.to(tensor), shift.to(tensor), residual, 1.5)

        return Case(
            lambda tensor: call(function, tensor),
            lambda tensor: call(ops.affine_relu_reference, tensor),
            maps[place],
        )

    return make


def dropout_case(dtype: torch.dtype) -> Callable[[Callable], Case]:
    """With a seed: without one PyTorch's modes of randomness decide."""
    seeds = torch.tensor([5])

    def make(function: Callable) -> Case:
        return Case(
            lambda tensor: function(tensor, 0.4, seeds),
            lambda tensor: ops.dropout_reference(tensor, 0.4, seeds),
            torch.randn(3, 4, dtype=dtype),
        )

    return make


def linear_case(place: int, dtype: torch.dtype) -> Callable[[Callable], Case]:
    """In x (0), weight (1) or bias (2)."""
    tensors = [torch.randn(2, 3, 4), torch.randn(5, 4), torch.randn(5)]

    def make(function: Callable) -> Case:
        def call(tensor: Tensor) -> Tensor:
            given = (tensor if i == place else t.to(tensor) for i, t in enumerate(tensors))
            return function(*given, relu=True)

        return Case(call, call, tensors[place].to(dtype))

    return make


def box_case(*others: Tensor) -> Callable[[Callable], Case]:
    def make(function: Callable) -> Case:
        exact = [other.double() for other in others]
        boxes = torch.tensor([[0.1, 0.2, 0.5, 0.6], [0.3, 0.3, 0.9, 0.8]])
        return Case(lambda tensor: function(tensor, *others), lambda t: function(t, *exact), boxes)

    return make


def box_loss_case(dtype: torch.dtype) -> Callable[[Callable], Case]:
    """A target for each row but one."""
    truth, index = torch.rand(2, 2, 4) / 2 + 0.2, torch.tensor([[1, -1, 0], [0, 1, 1]])

    def make(function: Callable) -> Case:
        return Case(
            lambda boxes: function(boxes, truth.to(boxes), index),
            lambda boxes: ops.box_losses_reference(boxes, truth.to(boxes), index),
            (torch.rand(2, 3, 4) / 2 + 0.2).to(dtype),
        )

    return make


def move_case(place: int, numbers: int, dtype: torch.dtype) -> Callable[[Callable], Case]:
    """In delta (0) or in a reference (1) of 2 or 4 numbers, some of which lie beyond the image."""
    reference = torch.tensor([0.2, 0.7, 1.5, 0.4, -0.5, 0.9, 0.5, 0.1]).repeat(3)

    def make(function: Callable) -> Case:
        tensors = [torch.randn(2, 3, 4), reference.view(2, 3, 4)[..., :numbers]]

        def call(function: Callable, tensor: Tensor) -> Tensor:
            given = (tensor if i == place else t.to(tensor) for i, t in enumerate(tensors))
            return function(*given)

        return Case(
            lambda tensor: call(function, tensor),
            lambda tensor: call(ops.move_boxes_reference, tensor),
            tensors[place].to(dtype),
        )

    return make


def cost_case(function: Callable) -> Case:
    """Documented to have no gradient: nothing is the right number."""
    counts, labels = torch.tensor([2, 1]), torch.tensor([[0, 2], [1, 0]])
    boxes, target_boxes = torch.rand(2, 3, 4) + 0.1, torch.rand(2, 2, 4) + 0.1
    form = dict(class_cost=ops.FocalCost(), weights=ops.CostWeights(2.0, 5.0, 2.0))

    def call(logits: Tensor) -> Tensor:
        cost, _ = function(logits, boxes, labels, target_boxes, counts, **form)
        return cost.nan_to_num(posinf=0.0)

    return Case(call, call, torch.randn(2, 3, 3))


OTHER_BOXES = torch.tensor([[0.2, 0.1, 0.7, 0.7], [0.0, 0.4, 0.6, 1.0]])
CASES: dict[str, dict[str, Callable[[Callable], Case]]] = {
    "affine_relu": {
        f"{name}-{dtype}": affine_case(place, dtype)
        for place, name in enumerate(("x", "residual"))
        for dtype in (torch.float32, torch.float64)
    },
    "affine_relu_reference": {
        name: affine_case(place, torch.float64) for place, name in enumerate(("x", "residual"))
    },
    "box_cxcywh_to_xyxy": {"": box_case()},
    "box_iou": {"": box_case(OTHER_BOXES)},
    "box_losses": {str(d): box_loss_case(d) for d in (torch.float32, torch.float64)},
    "box_losses_reference": {"": box_loss_case(torch.float64)},
    "dropout": {str(d): dropout_case(d) for d in (torch.float32, torch.float64)},
    "dropout_reference": {"": dropout_case(torch.float64)},
    "generalized_box_iou": {"": box_case(OTHER_BOXES)},
    "pairwise_generalized_box_iou": {"": box_case(OTHER_BOXES)},
    "linear": {
        f"{name}-{dtype}": linear_case(place, dtype)
        for place, name in enumerate(("x", "weight", "bias"))
        for dtype in (torch.float32, torch.float64)
    },
    "matching_cost": {"": cost_case},
    "matching_cost_reference": {"": cost_case},
    "move_boxes": {
        f"{name}-{numbers}-{dtype}": move_case(place, numbers, dtype)
        for place, name in enumerate(("delta", "reference"))
        for numbers in (2, 4)
        for dtype in (torch.float32, torch.float64)
    },
    "move_boxes_reference": {
        f"{name}-2": move_case(place, 2, torch.float64)
        for place, name in enumerate(("delta", "reference"))
    },
    "sigmoid_focal_loss": {str(d): focal_case(d) for d in (torch.float32, torch.float64)},
    "sigmoid_focal_loss_reference": {"": focal_case(torch.float64)},
    "ms_deform_attn": {
        f"{name}-{dtype}": attention_case(place, dtype)
        for place, name in enumerate(("value", "locations", "weights"))
        for dtype in (torch.float32, torch.float64)
    },
    "ms_deform_attn_fused": {
        f"{name}-{numbers}-{dtype}": fused_case(place, numbers, dtype)
        for place, name in enumerate(("value", "reference", "rows"))
        for numbers in (2, 4)
        for dtype in (torch.float32, torch.float64)
    },
    "ms_deform_attn_fused_reference": {
        f"{name}-4": fused_case(place, 4, torch.float64)
        for place, name in enumerate(("value", "reference", "rows"))
    },
    "ms_deform_attn_reference": {
        name: attention_case(place, torch.float64)
        for place, name in enumerate(("value", "locations", "weights"))
    },
}
OF_INTEGERS = {"batched_assignment", "batched_assignment_reference", "linear_sum_assignment"}
NO_OPERATORS = {"AnyClassCost", "ClassCost", "CostWeights", "FocalCost", "HighOrderCost"}
NO_OPERATORS |= {"Overlaps", "PlacedCost", "PositionCost", "SoftmaxCost"}
EACH = [
    pytest.param(getattr(ops, name), make, id=f"{name}-{kind}")
    for name, kinds in CASES.items()
    for kind, make in kinds.items()
]
with_kernels = pytest.mark.skipif(
    bool(extension.why_no_kernel("ms_deform_attn", torch.device("cpu"))), reason="no kernels"
)
VERSION = tuple(map(int, torch.__version__.split(".")[:2]))
BEFORE_2_11 = VERSION < (2, 11)
# Until then PyTorch has no forward mode of the `grid_sample` in the twin, and says so.
BEFORE_2_15 = VERSION < (2, 15)
NO_VMAP = {*OF_INTEGERS, "matching_cost"}
NO_FORWARD_MODE = {ops.ms_deform_attn_reference, ops.ms_deform_attn_fused_reference}
if extension.why_no_kernel("ms_deform_attn", torch.device("cpu")):
    NO_FORWARD_MODE |= {ops.ms_deform_attn, ops.ms_deform_attn_fused}
TOLERANCE = dict(rtol=1e-4, atol=1e-4)


def test_every_operator_is_here() -> None:
    assert {*ops.__all__} == {*CASES} | OF_INTEGERS | NO_OPERATORS


def jacobian(case: Case) -> Tensor:
    """`Tensor[outputs, inputs]` in float64, in plain reverse mode."""
    found = torch.autograd.functional.jacobian(case.exact, case.at.double())
    return found.reshape(-1, case.at.numel()).double()


def by_jvp(function: Callable, at: Tensor, tangent: Tensor) -> Tensor | None:
    return torch.func.jvp(function, (at,), (tangent,))[1]


def by_dual_numbers(function: Callable, at: Tensor, tangent: Tensor) -> Tensor | None:
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(function(forward_ad.make_dual(at, tangent))).tangent


@pytest.mark.parametrize("forward_mode", [by_jvp, by_dual_numbers])
@pytest.mark.parametrize(("function", "make"), EACH)
def test_forward_mode(function: Callable, make: Callable, forward_mode: Callable) -> None:
    case = make(function)
    tangent = torch.randn_like(case.at)
    if function in NO_FORWARD_MODE and case.at.dim() != 5 and BEFORE_2_15:
        with pytest.raises(NotImplementedError, match="forward AD with grid_sampler"):
            forward_mode(case.function, case.at, tangent)
        return
    found = forward_mode(case.function, case.at, tangent)
    expected = jacobian(case) @ tangent.double().flatten()
    if found is None:  # of dual numbers without a tangent
        assert not expected.any()
        return
    assert found.shape == case.function(case.at).shape
    torch.testing.assert_close(found.double().flatten(), expected, **TOLERANCE)


@pytest.mark.parametrize(("function", "make"), EACH)
def test_jacobian_of_reverse_mode(function: Callable, make: Callable) -> None:
    case = make(function)
    if BEFORE_2_11 and function in NO_FORWARD_MODE and case.at.dim() in (3, 6):
        pytest.skip("PyTorch cannot map the backward of its grid_sample by the locations")
    found = torch.func.jacrev(case.function)(case.at).reshape(-1, case.at.numel())
    torch.testing.assert_close(found.double(), jacobian(case), **TOLERANCE)


@pytest.mark.parametrize(("function", "make"), EACH)
def test_grad_and_vjp(function: Callable, make: Callable) -> None:
    case = make(function)
    out, pull = torch.func.vjp(case.function, case.at)
    factors = torch.randn_like(out)
    expected = (factors.double().flatten() @ jacobian(case)).view_as(case.at)
    torch.testing.assert_close(pull(factors)[0].double(), expected, **TOLERANCE)
    grad = torch.func.grad(lambda tensor: (case.function(tensor) * factors).sum())(case.at)
    torch.testing.assert_close(grad.double(), expected, **TOLERANCE)


@pytest.mark.parametrize(("function", "make"), EACH)
def test_vmap(function: Callable, make: Callable) -> None:
    case = make(function)
    if function.__name__ in NO_VMAP:
        with pytest.raises(RuntimeError, match="does not run in torch.vmap"):
            torch.vmap(case.function)(case.at[None])
        return
    many = torch.stack([case.at, case.at.flip(0), case.at.roll(1)], dim=-1)
    found = torch.vmap(case.function, in_dims=-1)(many)
    expected = torch.stack([case.exact(each.double()) for each in many.unbind(-1)])
    torch.testing.assert_close(found.double(), expected.double(), **TOLERANCE)


@pytest.mark.parametrize(("function", "make"), EACH)
def test_vmap_of_nothing(function: Callable, make: Callable) -> None:
    if function.__name__ in NO_VMAP or function in NO_FORWARD_MODE:
        pytest.skip("PyTorch's own grid_sample, or not mapped at all")
    case = make(function)
    none = case.at[..., None][..., :0]
    assert torch.vmap(case.function, in_dims=-1)(none).shape == (0, *case.function(case.at).shape)
    if case.function(case.at).is_floating_point():
        gradient = torch.vmap(torch.func.grad(lambda at: case.function(at).sum()), in_dims=-1)(none)
        assert gradient.shape == (0, *case.at.shape)


SCALE_AND_SHIFT = [torch.tensor([1.5, -0.5]), torch.tensor([0.1, 0.3])]


def of_constant(place: int) -> Callable[[Tensor], Tensor]:
    """`affine_relu` as a function of the scale (0) or the shift (1)."""
    x = torch.randn(2, 2, 3, 4)

    def call(tensor: Tensor) -> Tensor:
        scale, shift = (tensor if i == place else t for i, t in enumerate(SCALE_AND_SHIFT))
        return ops.affine_relu(x.to(tensor), scale.to(tensor), shift.to(tensor))

    return call


@pytest.mark.parametrize("place", [0, 1])
def test_constants_in_forward_mode(place: int) -> None:
    function, at = of_constant(place), SCALE_AND_SHIFT[place]
    expected = by_dual_numbers(function, at.double(), torch.ones_like(at.double()))  # no kernels
    assert expected is not None
    assert expected.any()
    found = by_jvp(function, at, torch.ones_like(at))
    torch.testing.assert_close(found, expected.float())
    if not extension.why_no_kernel("affine_relu", torch.device("cpu")):
        with pytest.raises(RuntimeError, match="affine_relu has no derivative by scale and shift"):
            by_dual_numbers(function, at, torch.ones_like(at))


@pytest.mark.parametrize("place", [0, 1])
def test_constants_are_mapped(place: int) -> None:
    """As those of several models that one `torch.vmap` runs."""
    function, at = of_constant(place), SCALE_AND_SHIFT[place]
    many = torch.stack([at, -at, at + 1])
    expected = torch.stack([function(each) for each in many])
    torch.testing.assert_close(torch.vmap(function)(many), expected)


def assign(function: Callable, cost: Tensor) -> Tensor:
    """An operator whose answer are indices."""
    counts = torch.tensor([2, 1])
    if function is ops.linear_sum_assignment:
        return function([cost[0]])[0][1]
    return function(cost, counts)


@pytest.mark.parametrize("function", [torch.vmap, torch.func.grad], ids=["vmap", "grad"])
def test_the_assignment_by_scipy_is_refused(function: Callable) -> None:
    def assign(cost: Tensor) -> Tensor:
        return ops.batched_assignment_reference([cost], torch.tensor([2]), [1])[0].sum()

    with pytest.raises(RuntimeError, match="without kernels does not run in torch.vmap or"):
        function(assign)(torch.rand(2, 2, 4))


@with_kernels
@pytest.mark.parametrize("name", ["batched_assignment", "linear_sum_assignment"])
def test_indices_have_no_derivative_and_are_not_mapped(name: str) -> None:
    function, cost = getattr(ops, name), torch.rand(2, 2, 4)
    found, tangent = torch.func.jvp(lambda c: assign(function, c), (cost,), (torch.ones(2, 2, 4),))
    assert torch.equal(found, assign(function, cost))
    assert not tangent.any()
    gradient = torch.func.grad(lambda c: (c * assign(function, c).sum()).sum())(cost)
    assert torch.equal(gradient, torch.full_like(cost, float(found.sum())))
    with pytest.raises(RuntimeError, match=f"{name} does not run in torch.vmap"):
        torch.vmap(lambda c: assign(function, c))(cost[None])
    with pytest.raises(RuntimeError, match=f"{name} does not run in torch.vmap"):
        torch.vmap(torch.func.grad(lambda c: (c * assign(function, c).sum()).sum()))(cost[None])


def test_labels_are_mapped_with_their_logits() -> None:
    """Gradients of single images, as differential privacy wants them."""
    logits, labels = torch.randn(4, 1, 2, 3, 5), torch.randint(-2, 5, (4, 1, 2, 3))

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return ops.sigmoid_focal_loss(logits, labels).sum()

    found = torch.vmap(torch.func.grad(loss))(logits, labels)
    leaf = logits.double().requires_grad_()
    total = ops.sigmoid_focal_loss_reference(leaf.flatten(0, 1), labels.flatten(0, 1)).sum()
    torch.testing.assert_close(found.double(), *torch.autograd.grad(total, leaf), **TOLERANCE)


OF_INPUTS = ("locations-torch.float32", "reference-2-torch.float32")
SECOND_DERIVATIVES = {
    "reverse over reverse": lambda f: torch.func.grad(lambda x: torch.func.grad(f)(x).sum()),
    "forward over reverse": torch.func.hessian,
}


@with_kernels
@pytest.mark.parametrize("second", SECOND_DERIVATIVES.values(), ids=SECOND_DERIVATIVES)
@pytest.mark.parametrize(
    "name",
    ["box_losses", "move_boxes", "ms_deform_attn", "ms_deform_attn_fused", "sigmoid_focal_loss"],
)
def test_a_second_derivative_is_refused_in_every_mode(name: str, second: Callable) -> None:
    kinds = CASES[name]
    make = next(kinds[k] for k in (*OF_INPUTS, "torch.float32") if k in kinds)
    case = make(getattr(ops, name))
    with pytest.raises(RuntimeError, match=f"{name} has no second derivative"):
        second(lambda x: case.function(x).square().sum())(case.at)


@with_kernels
def test_dual_numbers_of_a_leaf_are_refused() -> None:
    """The tangent would be missing in what a backward pass gives."""
    case = CASES["ms_deform_attn"]["value-torch.float32"](ops.ms_deform_attn)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(case.at.requires_grad_(), torch.ones_like(case.at))
        with pytest.raises(RuntimeError, match="ms_deform_attn has no second derivative"):
            case.function(dual)


@with_kernels
@pytest.mark.parametrize("outer", [torch.func.jacrev, torch.func.jacfwd])
def test_forward_mode_can_be_differentiated_again(outer: Callable) -> None:
    case = CASES["ms_deform_attn"]["locations-torch.float64"](ops.ms_deform_attn)

    def loss(at: Tensor) -> Tensor:
        return case.function(at).square().sum()

    along, step = torch.randn_like(case.at), 1e-6
    hessian = outer(torch.func.jacfwd(loss))(case.at).reshape(case.at.numel(), -1)
    ahead, behind = (torch.func.grad(loss)(case.at + s * along) for s in (step, -step))
    expected = ((ahead - behind) / (2 * step)).flatten()
    torch.testing.assert_close(hessian @ along.flatten(), expected, rtol=1e-5, atol=1e-5)


@with_kernels
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_tangents_of_sixteen_bit_values(dtype: torch.dtype) -> None:
    value, shapes, locations, weights = random_inputs(queries=9, channels=8)
    tangents = [torch.randn_like(each) for each in (value, locations, weights)]
    primals = [value.to(dtype), locations.float(), weights.to(dtype)]
    given = (tangents[0].to(dtype), tangents[1].float(), tangents[2].to(dtype))

    def attend(v: Tensor, s: Tensor, w: Tensor) -> Tensor:
        return ops.ms_deform_attn(v, shapes, s, w)

    _, found = torch.func.jvp(attend, tuple(primals), given)
    assert found.dtype == dtype
    exact = tuple(each.double() for each in given)
    _, expected = torch.func.jvp(attend, tuple(p.double() for p in primals), exact)
    assert (found.double() - expected).abs().max() < 2e-2 * expected.abs().max()


@with_kernels
@pytest.mark.usefixtures("forget_graphs")
def test_torch_func_within_a_compiled_graph() -> None:
    case = CASES["ms_deform_attn"]["locations-torch.float32"](ops.ms_deform_attn)
    grad = torch.func.grad(lambda x: case.function(x).square().sum())
    compiled = torch.compile(grad, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(case.at), grad(case.at))
