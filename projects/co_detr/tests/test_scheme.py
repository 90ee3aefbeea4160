"""Collaborating heads beside every architecture and other schemes: what they add to a step, and
that nothing of them is left at inference.
"""

import hdetr_d2  # noqa: F401

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from omegaconf import OmegaConf

from hdetr_d2.checkpoint import Checkpointer
from hdetr_d2.checkpoint.weights import without_training_only
from hdetr_d2.errors import MisfitError
from hdetr_d2.modeling import postprocessing
from hdetr_d2.projects.co_detr import BoxQueries
from hdetr_d2.projects.co_detr.head_detections import HeadDetections
from hdetr_d2.schemes import OneToOne
from hdetr_d2.structures import Step

ROOT = Path(__file__).parents[3]
CONFIGS = ROOT / "configs" / "common"
CO_HEADS = LazyConfig.load(str(ROOT / "projects/co_detr/configs/common/collaborators.py")).co_heads
PLUS_PLUS = "common/models/deformable_detr_pp.py"
DINO = "common/models/dino.py"
# The strides of a model's levels.
MODELS = {
    "common/models/deformable_detr.py": [8, 16, 32, 64],
    "common/models/deformable_detr_two_stage.py": [8, 16, 32, 64],
    PLUS_PLUS: [8, 16, 32, 64],
    "common/models/deformable_detr_pp_masks.py": [8, 16, 32, 64],
    "common/models/dab_deformable_detr.py": [8, 16, 32, 64],
    DINO: [8, 16, 32, 64],
    "common/models/dino_5scale.py": [4, 8, 16, 32, 64],
    "common/models/detr.py": [32],
}


def others() -> list[str]:
    schemes = LazyConfig.load(str(CONFIGS / "schemes.py"))
    return [name for name, node in schemes.items() if "_target_" in node]


def small_heads(strides, names=("faster_rcnn", "atss")):
    """The node of the scheme for a model of such levels, with small heads."""
    node = OmegaConf.create(CO_HEADS)
    node.update(strides=strides, max_queries=20)
    node.adapter.norm_groups = 8
    collaborators = node.collaborators
    collaborators.atss.head.num_levels = len(strides) + 1
    rcnn = collaborators.faster_rcnn.head
    rcnn.roi_head.update(num_levels=len(strides), hidden_dim=16, num_samples=32)
    for selection in (rcnn.rpn.train, rcnn.rpn.test):
        selection.update(per_level=50, most=40)
    for name in {"faster_rcnn", "atss"} - {*names}:
        del collaborators[name]
    return node


@pytest.fixture
def co_model(tiny_config, small_model):
    """A small model with small heads: `co_model(path, names=("atss",), beside=[...])`."""

    def build(path=PLUS_PLUS, names=("faster_rcnn", "atss"), beside=(), **changes):
        cfg = tiny_config(path)
        kept = [each for each in cfg.model.schemes if each._target_ is not OneToOne]
        cfg.model.schemes = [*kept, *beside, small_heads(MODELS[path], names)]
        for key, value in changes.items():
            OmegaConf.update(cfg.model, key.replace("__", "."), value)
        torch.manual_seed(0)
        return small_model(cfg.model)

    return build


def gradients(model, batch, **options):
    """Losses, and the gradients by name."""
    model.zero_grad()
    losses = model.train()(batch, **options)
    sum(losses.values()).backward()
    return losses, {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("counts", [[2, 1], [2, 0], [0, 0]])
@pytest.mark.parametrize("path", MODELS)
def test_every_parameter_gets_a_gradient(co_model, make_batch, path, counts):
    losses, grads = gradients(co_model(path), make_batch(counts))
    assert all(loss.isfinite() for loss in losses.values())
    assert [name for name, grad in grads.items() if grad is None] == []
    assert all(grad.isfinite().all() for grad in grads.values())


@pytest.mark.parametrize("names", [*zip(others(), strict=True), ("denoising", "hybrid_branch")])
def test_beside_other_schemes(co_model, make_batch, small_schemes, names):
    model = co_model(beside=[small_schemes[name] for name in names])
    losses, grads = gradients(model, make_batch([2, 1]))
    assert {f"loss_giou_atss{end}" for end in ("_0", "_1", "")} <= set(losses)
    assert [name for name, grad in grads.items() if grad is None] == []


@pytest.mark.parametrize("names", [("atss",), ("faster_rcnn",)])
def test_one_head_alone(co_model, make_batch, names):
    losses, grads = gradients(co_model(names=names), make_batch([2, 1]))
    own = {name for name in losses if names[0] in name}
    assert {f"loss_{kind}_{names[0]}" for kind in ("class", "bbox", "giou")} < own
    assert {f"loss_{names[0]}_{kind}" for kind in ("class", "giou")} < own
    assert [name for name, grad in grads.items() if grad is None] == []


def test_equal_heads_under_several_names(tiny_config, make_batch):
    cfg = tiny_config(PLUS_PLUS)
    node = small_heads(MODELS[PLUS_PLUS], ("atss",))
    for copy in "bcdef":
        node.collaborators[f"atss_{copy}"] = node.collaborators.atss
    cfg.model.schemes = [node]
    model = instantiate(cfg.model)
    losses = model(make_batch([2, 1]))
    assert sum(name.endswith("_centerness") for name in losses) == 6
    first, *rest = (each.head for each in model.schemes[0].collaborators.values())
    assert all(first is not other for other in rest)


def test_a_name_that_looks_like_a_layer(tiny_config):
    cfg = tiny_config(PLUS_PLUS)
    node = small_heads(MODELS[PLUS_PLUS], ("atss",))
    node.collaborators["atss_2"] = node.collaborators.atss
    cfg.model.schemes = [node]
    with pytest.raises(ValueError, match="cannot be named 'atss_2'"):
        instantiate(cfg.model)


def test_strides_that_do_not_fit_the_levels(tiny_config, make_batch):
    cfg = tiny_config(PLUS_PLUS)
    cfg.model.schemes = [small_heads([8, 16, 32])]
    with pytest.raises(MisfitError, match=r"strides=\(8, 16, 32\), but the encoder has 4 levels"):
        instantiate(cfg.model)(make_batch([1]))


def decoder_input(model, batch):
    seen = []
    with model.decoder.register_forward_pre_hook(lambda _, args: seen.extend(args)):
        losses = model(batch)
    return seen, losses


def test_groups_have_one_size_whatever_the_batch(co_model, make_batch):
    model = co_model()
    for counts in ([3, 1], [0, 2], [0, 0]):
        (groups, _), _ = decoder_input(model, make_batch(counts))
        assert [group.name for group in groups] == ["", "faster_rcnn", "atss"]
        for group in groups[1:]:
            assert group.queries.content.shape[:2] == (2, 20)
            assert (group.valid.sum(1) >= 9).all()


@torch.no_grad()
def test_groups_are_blind_to_each_other(co_model, make_batch):
    model = co_model(DINO)
    (groups, memory), _ = decoder_input(model, make_batch([2, 1]))
    before = model.decoder(groups, memory)
    for changed, group in enumerate(groups):
        queries = group.queries.map(lambda part: 0.9 * part)
        others = [*groups[:changed], replace(group, queries=queries), *groups[changed + 1 :]]
        after = model.decoder(others, memory)
        seen = {
            other.name
            for other, a, b in zip(groups, before, after, strict=True)
            if not torch.equal(a.states, b.states)
        }
        assert seen == {group.name} | {o.name for o in groups if group.name in o.sees}


def test_positive_queries_follow_the_head(co_model, make_batch):
    """Their targets are those that the head gave the candidates, and boxes are near them."""
    model = co_model()
    batch = make_batch([2, 1])
    (groups, _), _ = decoder_input(model, batch)
    for group in groups[1:]:
        assignment = group.assigner.assignment[0]
        assert ((assignment == -2) == ~group.valid).all()
        for image, item in enumerate(batch):
            height, width = item["image"].shape[-2:]
            boxes = item["instances"].gt_boxes.tensor / torch.tensor([width, height] * 2)
            centres = (boxes[:, :2] + boxes[:, 2:]) / 2
            positive = assignment[image] >= 0
            reference = group.queries.reference[image, positive]
            own = centres[assignment[image, positive]]
            assert positive.any() and (reference[:, :2] - own).abs().max() < 0.5


def test_the_main_branch_does_not_know_the_heads(co_model, make_batch):
    plain, helped = co_model(schemes=[]), co_model()
    plain.load_state_dict(helped.state_dict(), strict=False)
    alone, together = (model.train()(make_batch([2, 1])) for model in (plain, helped))
    for name, loss in alone.items():
        torch.testing.assert_close(together[name], loss)


def test_a_part_of_a_step_counts_as_much_as_it_has_images(co_model, make_batch):
    model, batch = co_model(), make_batch([2, 1])
    whole, half = (
        losses_with_seed(model, batch, Step(torch.tensor(3.0), share)) for share in (1.0, 0.5)
    )
    added = [name for name in whole if "atss" in name or "rcnn" in name]
    assert added
    for name in added:
        torch.testing.assert_close(half[name], 0.5 * whole[name])


def losses_with_seed(model, batch, step):
    torch.manual_seed(0)
    return model(batch, step)


def test_recomputed_activations_change_nothing(co_model, make_batch):
    found = []
    for on in (False, True):
        model = co_model(decoder__checkpointing=on)
        torch.manual_seed(0)
        found.append(gradients(model, make_batch([2, 1])))
    for one, other in zip(*found, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            torch.testing.assert_close(other[name], value)


def test_with_16_bits(co_model, make_batch):
    with torch.autocast("cpu", torch.bfloat16):
        losses, grads = gradients(co_model(), make_batch([2, 1]))
    assert all(loss.isfinite() for loss in losses.values())
    assert all(grad.isfinite().all() for grad in grads.values())


def test_queries_of_co_dino_have_no_feature(tiny_config, make_batch):
    cfg = tiny_config(DINO)
    node = small_heads(MODELS[DINO], ("atss",))
    node.collaborators.atss.queries._target_ = BoxQueries
    cfg.model.schemes = [node]
    losses, grads = gradients(instantiate(cfg.model), make_batch([2, 1]))
    assert [name for name, grad in grads.items() if grad is None] == []
    assert all(loss.isfinite() for loss in losses.values())


def test_a_collaborator_that_is_null_takes_no_part(tiny_config, make_batch):
    cfg = tiny_config(DINO)
    node = small_heads(MODELS[DINO])
    node.collaborators.faster_rcnn = None
    cfg.model.schemes = [node]
    losses, grads = gradients(instantiate(cfg.model), make_batch([2, 1]))
    assert not any("faster_rcnn" in name for name in [*losses, *grads])
    assert "loss_atss_class" in losses
    cfg.model.schemes[0].collaborators.atss = None
    with pytest.raises(ValueError, match="at least one collaborator"):
        instantiate(cfg.model)


def evaluate(model, batch, counted_operations):
    """Detections, operations, and the parameters that they depend on."""
    with counted_operations() as counter:
        found = model.eval()(batch)
    numbers = torch.cat([*(f.scores for f in found), *(f.pred_boxes.tensor.ravel() for f in found)])
    numbers.sum().backward()
    used = [name for name, p in model.named_parameters() if p.grad is not None]
    return numbers, counter.get_total_flops(), used


def test_at_inference_nothing_is_left_of_them(
    co_model, make_batch, monkeypatch, counted_operations
):
    # Detectron2 moves boxes in place, which autograd does not follow.
    monkeypatch.setattr(postprocessing, "to_original_size", lambda detections, _: detections)
    plain, helped = co_model(schemes=[]), co_model()
    plain.load_state_dict(without_training_only(helped, helped.state_dict()))
    batch = make_batch([1, 1])
    one, other = (evaluate(model, batch, counted_operations) for model in (plain, helped))
    assert torch.equal(one[0], other[0])
    assert one[1:] == other[1:]


@pytest.mark.parametrize("name", ["faster_rcnn", "atss"])
def test_a_head_detects_in_the_decoders_place(co_model, make_batch, name):
    model = co_model(postprocessing=HeadDetections(name=name)).eval()
    batch = [{k: v for k, v in item.items() if k != "instances"} for item in make_batch([1, 1])]
    with torch.no_grad():
        outputs = model(batch)
    for item, output in zip(batch, outputs, strict=True):
        found = output["instances"]
        assert found.image_size == (item["height"], item["width"])
        assert len(found.pred_boxes) == len(found.scores) == len(found.pred_classes) > 0


def test_a_head_that_is_not_there(co_model, make_batch):
    model = co_model(postprocessing=HeadDetections(name="fcos")).eval()
    with pytest.raises(
        ValueError, match=r"name='fcos': the schemes have \['atss', 'faster_rcnn'\]"
    ):
        model(make_batch([1]))


@pytest.mark.parametrize("name", [None, "atss"])
def test_a_training_may_start_with_the_weights_of_other_classes(co_model, tmp_path, name):
    torch.save({"model": co_model().state_dict()}, tmp_path / "three.pth")
    model = co_model(postprocessing=name and HeadDetections(name=name))
    head = model.schemes[-1].collaborators["atss"].head.predictor
    head.class_conv = torch.nn.Conv2d(32, 5, 3, padding=1)
    kept = head.class_conv.weight.clone()
    Checkpointer(model, tmp_path).load(str(tmp_path / "three.pth"), checkpointables=[])
    assert torch.equal(head.class_conv.weight, kept)
