"""The branch beside every architecture and other schemes: what it adds to a step, and that nothing
of it is left at inference.
"""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig
from omegaconf import OmegaConf

from hdetr_d2.checkpoint.weights import without_training_only
from hdetr_d2.modeling import postprocessing
from hdetr_d2.projects.route_detr import (
    Descriptor,
    RoutedBranch,
    RouterSizes,
    Similarity,
    SoftmaxConfidence,
)
from hdetr_d2.schemes import OneToOne
from hdetr_d2.structures import Step
from hdetr_d2.utils.observation import Observer

ROOT = Path(__file__).parents[3]
CONFIGS = ROOT / "configs"
PRESETS = LazyConfig.load(str(ROOT / "projects/route_detr/configs/common/routing.py"))
PLUS_PLUS = "common/models/deformable_detr_pp.py"
MODELS = [
    "common/models/deformable_detr.py",
    "common/models/deformable_detr_two_stage.py",
    PLUS_PLUS,
    "common/models/deformable_detr_pp_masks.py",
    "common/models/dab_deformable_detr.py",
    "common/models/detr.py",
    "common/models/dino.py",
]


def others() -> list[str]:
    schemes = LazyConfig.load(str(CONFIGS / "common" / "schemes.py"))
    return [name for name, node in schemes.items() if "_target_" in node]


@pytest.fixture
def routed_model(tiny_config, small_model):
    """A small model with the routed branch: `routed_model(preset="paper", strength=0.3)`."""

    def build(path=PLUS_PLUS, preset="released_code", strength=None, beside=(), **changes):
        cfg = tiny_config(path)
        cfg.train = dict(epochs=12)
        node = OmegaConf.create(PRESETS[preset])
        if strength is not None:
            node.strength.update(first=strength, last=strength)
        kept = [each for each in cfg.model.schemes if each._target_ is not OneToOne]
        cfg.model.schemes = [*kept, *beside, node]
        for key, value in changes.items():
            OmegaConf.update(cfg.model, key.replace("__", "."), value)
        torch.manual_seed(0)
        return small_model(cfg.model)

    return build


def routed_branch(model) -> RoutedBranch:
    return next(scheme for scheme in model.schemes if isinstance(scheme, RoutedBranch))


def gradients(model, batch):
    """Losses, and the gradients by name."""
    model.zero_grad()
    losses = model.train()(batch)
    sum(losses.values()).backward()
    return losses, {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("counts", [[2, 1], [0, 0]])
@pytest.mark.parametrize(("path", "preset"), [*product(MODELS, ["paper", "released_code"])])
def test_every_parameter_gets_a_gradient(routed_model, make_batch, path, preset, counts):
    losses, grads = gradients(routed_model(path, preset), make_batch(counts))
    assert all(loss.isfinite() for loss in losses.values())
    assert [name for name, grad in grads.items() if grad is None] == []
    assert all(grad.isfinite().all() for grad in grads.values())


@pytest.mark.parametrize("names", [*zip(others(), strict=True), ("denoising", "hybrid_branch")])
@pytest.mark.parametrize(
    "path", [PLUS_PLUS, pytest.param("common/models/detr.py", marks=pytest.mark.slow)]
)
def test_beside_other_schemes(routed_model, make_batch, small_schemes, path, names):
    model = routed_model(path, beside=[small_schemes[name] for name in names], strength=0.3)
    losses, grads = gradients(model, make_batch([2, 1]))
    assert {f"loss_giou_routed{end}" for end in ("_0", "_1", "")} <= set(losses)
    assert [name for name, grad in grads.items() if grad is None] == []


@torch.no_grad()
def test_main_queries_and_routed_ones_are_blind_to_each_other(routed_model, make_batch):
    model = routed_model("common/models/dino.py", strength=1.0)
    seen = []
    with model.decoder.register_forward_pre_hook(lambda _, args: seen.extend(args)):
        model(make_batch([2, 1]))
    groups, memory = seen
    before = model.decoder(groups, memory)
    assert [group.name for group in groups] == ["", "dn", "routed"]
    for changed, touched in ((0, {"", "dn"}), (2, {"routed"})):
        queries = groups[changed].queries.map(lambda part: 0.9 * part)
        others = [*groups[:changed], replace(groups[changed], queries=queries)]
        after = model.decoder([*others, *groups[changed + 1 :]], memory)
        pairs = zip(groups, before, after, strict=True)
        moved = {group.name for group, a, b in pairs if not torch.equal(a.states, b.states)}
        assert moved == touched


def test_only_routed_layers_have_routers(routed_model):
    assert list(routed_branch(routed_model()).routers) == ["1", "2"]
    assert list(routed_branch(routed_model(preset="paper")).routers) == ["0", "1", "2"]


def test_the_branch_is_the_main_one_until_its_first_routed_layer(routed_model, make_batch):
    losses, grads = gradients(routed_model(strength=0.3), make_batch([2, 1]))
    kinds = ("class", "bbox", "giou")
    for kind in kinds:
        weight = losses[f"loss_{kind}_routed_0"] / losses[f"loss_{kind}_0"]
        assert weight.item() == pytest.approx(0.3)  # of the losses, when a training begins
    last = [losses[f"loss_{kind}_routed"] - 0.3 * losses[f"loss_{kind}"] for kind in kinds]
    assert torch.stack(last).abs().sum() > 1e-5
    assert all(grad.abs().sum() > 0 for name, grad in grads.items() if ".routers." in name)


def test_at_strength_0_the_branches_are_equal_and_routers_have_zero_gradients(
    routed_model, make_batch
):
    losses, grads = gradients(routed_model(strength=0.0), make_batch([2, 1]))
    for name in ("loss_class", "loss_bbox", "loss_giou"):
        torch.testing.assert_close(losses[f"{name}_routed"], 0.3 * losses[name])
    routers = [grad for name, grad in grads.items() if ".routers." in name]
    assert routers and all((grad == 0).all() for grad in routers)


def test_the_main_branch_does_not_know_the_other(routed_model, make_batch):
    plain, routed = routed_model(schemes=[]), routed_model(strength=1.0)
    plain.load_state_dict(routed.state_dict(), strict=False)
    alone, together = (model.train()(make_batch([2, 1])) for model in (plain, routed))
    for name, loss in alone.items():
        torch.testing.assert_close(together[name], loss)


def test_weight_and_strength_follow_the_progress(routed_model, make_batch):
    model = routed_model()
    groups = []
    with model.decoder.register_forward_pre_hook(lambda _, args: groups.append(args[0])):
        for done, weight in ((0.0, 0.3), (3 / 12, 0.5), (5 / 12, 0.7), (0.99, 0.7)):
            with Observer() as observer:
                model(make_batch([1, 0]), Step(torch.tensor(1.0), progress=done))
            main, routed = groups.pop()
            assert (main.weight, routed.weight) == (1.0, pytest.approx(weight))
            strength = 0.3 * (weight - 0.3) / 0.4
            assert observer.means["routing/strength"].item() == pytest.approx(strength)


def test_what_is_logged(routed_model, make_batch):
    with Observer() as observer:
        routed_model(preset="paper")(make_batch([2, 1]))
    each = ("suppressor", "delegator", "suppressed")
    names = {f"routing/{part}_{layer}" for part in each for layer in range(3)}
    assert set(observer.means) == names | {"routing/strength", "routing/weight"}
    for name, value in observer.means.items():
        assert value.shape == ()
        if "suppressed" in name:
            assert 0 < value < 1


def test_recomputed_activations_change_nothing(routed_model, make_batch):
    kept, recomputed = (
        gradients(routed_model(strength=0.3, decoder__checkpointing=on), make_batch([2, 1]))
        for on in (False, True)
    )
    for one, other in zip(kept, recomputed, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            torch.testing.assert_close(other[name], value)


def test_with_16_bits_the_bias_keeps_its_precision(routed_model, make_batch):
    model = routed_model(strength=0.3)
    with torch.autocast("cpu", torch.bfloat16):
        losses, grads = gradients(model, make_batch([2, 1]))
    assert all(loss.isfinite() for loss in losses.values())
    assert all(grad.isfinite().all() for grad in grads.values())


def evaluate(model, batch, counted_operations):
    """Detections, operations, and the parameters that they depend on."""
    with counted_operations() as counter:
        found = model.eval()(batch)
    numbers = torch.cat([*(f.scores for f in found), *(f.pred_boxes.tensor.ravel() for f in found)])
    numbers.sum().backward()
    used = [name for name, p in model.named_parameters() if p.grad is not None]
    return numbers, counter.get_total_flops(), used


@pytest.mark.parametrize("preset", ["paper", "released_code"])
def test_at_inference_nothing_is_left_of_it(
    routed_model, make_batch, monkeypatch, counted_operations, preset
):
    # Detectron2 moves boxes in place, which autograd does not follow.
    monkeypatch.setattr(postprocessing, "to_original_size", lambda detections, _: detections)
    plain, routed = routed_model(schemes=[]), routed_model(preset=preset, strength=1.0)
    exported = without_training_only(routed, routed.state_dict())
    plain.load_state_dict(exported)  # with the same keys, and none of a router
    batch = make_batch([1, 1])
    one, other = (evaluate(model, batch, counted_operations) for model in (plain, routed))
    assert torch.equal(one[0], other[0])
    assert one[1:] == other[1:]


@pytest.mark.parametrize("last", [0, 4])
def test_a_number_of_layers_that_the_decoder_does_not_have(last):
    descriptor = Descriptor(similarity=Similarity(), confidence=SoftmaxConfidence())
    with pytest.raises(ValueError, match=f"last={last}"):
        RoutedBranch(
            sizes=RouterSizes(dim=8),
            descriptor=descriptor,
            num_layers=3,
            last=last,
            strength=lambda done: 1.0,
            weight=lambda done: 1.0,
        )
