"""What a tap sees of the main queries in every decoder, and that the decoder sees nothing of it."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hdetr_d2.modeling.transformer import Decoder
from hdetr_d2.schemes import Context, Contribution, Scheme
from hdetr_d2.structures import Match, Memory, Predictions, QueryGroup, Tap

sys.path.insert(0, str(Path(__file__).parent))
from main_group import inputs

PLUS_PLUS = "common/models/deformable_detr_pp.py"
MODELS = [
    "common/models/deformable_detr.py",
    PLUS_PLUS,
    "common/models/dino.py",
    "common/models/detr.py",
]
MATCH = Match((2, 2, 2))


class Turned(nn.Module):
    """A branch that learns, with weights for each layer; remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = nn.Parameter(torch.randn(3, 32, 32))
        self.asked: list[tuple[int, nn.Module, Tensor]] = []

    def forward(self, index: int, layer: nn.Module, found: Tensor) -> Tensor:
        self.asked.append((index, layer, found))
        return layer.feed_forward(found @ self.turns[index])


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest, tiny_model: Any) -> Any:
    return moving(tiny_model(request.param, encoder__sizes__dropout=0.0))


def moving(model: Any) -> Any:
    """A new deformable decoder would leave every box where it is."""
    for head in model.decoder.heads.box_heads:
        nn.init.normal_(head.last.weight)
    return model


def parts(predictions: Predictions) -> tuple[Tensor, Tensor, Tensor]:
    assert predictions.states is not None
    return predictions.logits, predictions.boxes, predictions.states


def test_groups_do_not_know_of_taps(model: Any, make_batch: Any) -> None:
    main, memory = inputs(model, make_batch)
    groups = [main, replace(main, name="other")]
    taps = [Tap(name=name, assigner=MATCH, branch=Turned()) for name in ("one", "two")]
    *found, one, two = model.decoder(groups, memory, taps)
    for with_taps, without in zip(found, model.decoder(groups, memory), strict=True):
        assert all(map(torch.equal, parts(with_taps), parts(without)))
    assert not torch.allclose(one.logits, two.logits)


def test_layers_are_called_as_ever_without_taps(model: Any, make_batch: Any) -> None:
    main, memory = inputs(model, make_batch)
    options: list[dict] = []
    for layer in model.decoder.layers:
        layer.register_forward_pre_hook(lambda *given: options.append(given[2]), with_kwargs=True)
    model.decoder([main], memory)
    assert options == [{}] * 3


def test_a_branch_is_asked_for_the_main_queries_of_every_layer(model: Any, make_batch: Any) -> None:
    main, memory = inputs(model, make_batch)
    branch, after = Turned(), list[Tensor]()
    for layer in model.decoder.layers:
        layer.cross_norm.register_forward_hook(lambda _, args, x: after.append(x))
    groups = [main, replace(main, name="other")]
    model.decoder(groups, memory, [Tap(name="tap", assigner=MATCH, branch=branch)])
    assert [index for index, _, _ in branch.asked] == [0, 1, 2]
    for (_, layer, found), expected, own in zip(
        branch.asked, after, model.decoder.layers, strict=True
    ):
        assert layer is own and torch.equal(found, expected[:, :12])


@pytest.mark.parametrize("own_heads", [False, True])
def test_heads_read_it_at_the_references_of_its_layer(
    model: Any, make_batch: Any, own_heads: bool
) -> None:
    main, memory = inputs(model, make_batch)
    decoder, after = model.decoder, list[Tensor]()
    for layer in decoder.layers:
        layer.cross_norm.register_forward_hook(lambda _, args, x: after.append(x))

    heads = dict(class_logits=decoder.heads.class_logits, box_deltas=decoder.heads.box_deltas)
    if own_heads:
        heads = {
            name: lambda index, states, read=read: -read(index, states)
            for name, read in heads.items()
        }
    own = heads if own_heads else {}
    ours, found = decoder([main], memory, [Tap(name="tap", assigner=MATCH, own=own)])
    reference = main.queries.reference
    for index, state in enumerate(after):
        state = state if decoder.norm is None else decoder.norm(state)
        delta = heads["box_deltas"](index, state)
        assert torch.equal(found.logits[index], heads["class_logits"](index, state))
        torch.testing.assert_close(found.boxes[index], placed(reference, delta))
        if decoder.refine:
            reference = ours.boxes[index].detach()
            if decoder.norm is not None:  # of DINO: what moves the references is not normed
                break
    else:
        assert torch.equal(found.states, state)


def placed(reference: Tensor | None, delta: Tensor) -> Tensor:
    if reference is None:
        return delta.sigmoid()
    start = torch.logit(reference, eps=1e-5)
    return (delta + nn.functional.pad(start, (0, 4 - start.shape[-1]))).sigmoid()


@pytest.mark.parametrize("trains_before", [False, True])
def test_its_boxes_may_train_the_layer_before(
    tiny_model: Any, make_batch: Any, trains_before: bool
) -> None:
    model = moving(tiny_model(PLUS_PLUS))
    main, memory = inputs(model, make_batch)
    tap = Tap(name="tap", assigner=MATCH, trains_before=trains_before)
    _, found = model.decoder([main], memory, [tap])
    before = model.decoder.heads.box_heads[0].last.weight
    (grad,) = torch.autograd.grad(found.boxes[1].sum(), before)
    assert grad.any() == trains_before


def step(decoder: Decoder, main: QueryGroup, memory: Memory, branch: Turned) -> list[Tensor]:
    """Outputs, and the gradients of the branch and of the decoder."""
    learned = [branch.turns, *decoder.parameters()]
    tap = Tap(name="tap", assigner=MATCH, branch=branch)
    outputs = decoder.train()([main], memory, [tap])
    loss = sum(found.logits.square().sum() + found.boxes.sum() for found in outputs)
    grads = torch.autograd.grad(loss, learned, retain_graph=True)
    return [outputs[1].logits, *grads]


def test_recomputed_activations_are_the_same(model: Any, make_batch: Any) -> None:
    main, memory = inputs(model, make_batch)
    branch = Turned()
    kept = step(model.decoder, main, memory, branch)
    model.decoder.checkpointing = True
    asked = len(branch.asked)
    recomputed = step(model.decoder, main, memory, branch)
    assert len(branch.asked) == asked + 2 * 3  # again in the backward pass
    assert kept[1].abs().amax((1, 2)).min() > 0
    for one, other in zip(kept, recomputed, strict=True):
        torch.testing.assert_close(one, other)


class Tapping(Scheme):
    """A scheme of one tap."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__("tapped")
        self.weight = weight
        self.branch = Turned()

    def contribute(self, context: Context) -> Contribution:
        assigner = Match((2,) * context.num_layers)
        tap = Tap(name=self.name, assigner=assigner, weight=self.weight, branch=self.branch)
        return Contribution(taps=[tap])


@pytest.mark.parametrize("counts", [[3, 1], [2, 0], [0, 0]])
def test_it_has_losses_as_a_group_has(model: Any, make_batch: Any, counts: list[int]) -> None:
    plain = model(make_batch(counts))
    torch.manual_seed(0)
    model.schemes.append(Tapping())
    torch.manual_seed(0)
    losses = model(make_batch(counts))
    kinds = [f"loss_{kind}_tapped" for kind in ("class", "bbox", "giou")]
    assert losses.keys() - plain.keys() == {k + end for k in kinds for end in ("", "_0", "_1")}
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    turns = model.schemes[-1].branch.turns
    assert turns.grad.isfinite().all() and (turns.grad.abs().amax((1, 2)) > 0).all()
    model.schemes[-1].weight = 0.5
    torch.manual_seed(0)
    half = model(make_batch(counts))
    for kind in kinds:
        torch.testing.assert_close(2 * half[kind], losses[kind])


def test_evaluation_has_no_taps(model: Any, make_batch: Any) -> None:
    found = model.eval()(make_batch([1, 1]))
    scheme = Tapping()
    model.schemes.append(scheme)
    for one, other in zip(found, model(make_batch([1, 1])), strict=True):
        assert torch.equal(one["instances"].scores, other["instances"].scores)
    assert scheme.branch.asked == []
