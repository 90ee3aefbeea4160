"""The detector as a whole: every architecture, with and without objects."""

from pathlib import Path

import pytest
import torch
from detectron2.config import instantiate
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.structures import Boxes, Instances

from hdetr_d2.errors import UserError
from hdetr_d2.modeling import PostProcessing
from hdetr_d2.modeling.picks import BestPairs
from hdetr_d2.modeling.postprocessing import to_original_size
from hdetr_d2.schemes import Contribution, Scheme
from hdetr_d2.structures import Match, QueryGroup, Step

CONFIGS = Path(__file__).parents[2] / "configs"
MODELS = sorted(
    str(path.relative_to(CONFIGS)) for path in (CONFIGS / "common" / "models").glob("*.py")
)
DENSE = "common/models/detr.py"
PLUS_PLUS = "common/models/deformable_detr_pp.py"
DENOISING = {
    "_target_": "hdetr_d2.schemes.Denoising",
    "num_classes": 3,
    "dim": 32,
    "box_noise": {"_target_": "hdetr_d2.schemes.CentreNoise", "scale": 0.4},
    "label_noise": 0.25,
    "groups": 2,
}
TWO_STAGE = "common/models/deformable_detr_two_stage.py"


def gradients(model, batch, **kwargs):
    model.zero_grad()
    losses = model.train()(batch, **kwargs)
    sum(losses.values()).backward()
    return losses, {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("path", MODELS)
@pytest.mark.parametrize("counts", [[3, 1], [2, 0], [0, 0]])
def test_every_parameter_gets_a_gradient(tiny_model, make_batch, path, counts):
    losses, grads = gradients(tiny_model(path), make_batch(counts))
    assert all(loss.isfinite() and loss.dtype == torch.float32 for loss in losses.values())
    assert [name for name, grad in grads.items() if grad is None] == []
    assert all(grad.isfinite().all() for grad in grads.values())


def test_so_does_every_one_without_an_encoder_layer(tiny_model, make_batch):
    """As in the small recipes: processes wait for the gradients of all."""
    _, grads = gradients(tiny_model(PLUS_PLUS, encoder__num_layers=0), make_batch([3, 1]))
    assert [name for name, grad in grads.items() if grad is None] == []


@pytest.mark.parametrize("path", MODELS)
def test_loss_names(tiny_model, make_batch, path):
    model = tiny_model(path)
    groups = ["", *(f"_{scheme.name}" for scheme in model.schemes if scheme.name)]
    layers = [*(f"_{layer}" for layer in range(model.decoder.num_layers - 1)), ""]
    ends = [group + layer for group in groups for layer in layers]
    ends += ["_enc"] if model.query_selection.two_stage else []
    ends += [f"_{scheme.name}_enc" for scheme in model.schemes if scheme.proposal_heads()]
    expected = {f"loss_{kind}{end}" for kind in ("class", "bbox", "giou") for end in ends}
    expected |= {"loss_mask", "loss_dice"} if model.mask_head is not None else set()
    assert set(model(make_batch([2, 1]))) == expected


@pytest.mark.parametrize("path", MODELS)
def test_proposals_start_with_the_heads_of_the_decoder(tiny_model, path):
    model = tiny_model(path)
    if model.query_selection.two_stage:
        ours, theirs = model.query_selection.heads, model.decoder.heads
        for own, first in (
            (ours.class_heads, theirs.class_heads),
            (ours.box_heads, theirs.box_heads),
        ):
            pairs = zip(own.parameters(), first[0].parameters(), strict=True)
            assert all(torch.equal(a, b) and a is not b for a, b in pairs)


def test_without_objects_only_classes_are_learned(tiny_model, make_batch):
    losses = tiny_model()(make_batch([0, 0]))
    assert all((loss > 0) == ("class" in name) for name, loss in losses.items())


@pytest.mark.parametrize("name", ["enc", "dn"])
def test_two_groups_of_one_name(tiny_model, make_batch, name):
    """Their losses would be one."""

    class Namesake(Scheme):
        def contribute(self, context):
            queries, match = context.main.queries, Match((1,) * context.num_layers)
            return Contribution([QueryGroup(name=name, queries=queries, assigner=match)])

    schemes = {"enc": [], "dn": [DENOISING]}[name]
    model = tiny_model(schemes=schemes)
    model.schemes.append(Namesake())
    with pytest.raises(ValueError, match=f"Two groups .* losses loss_bbox_{name}"):
        model(make_batch([1]))


@pytest.mark.parametrize("path", MODELS)
def test_groups_are_in_one_piece(tiny_model, make_batch, path):
    model, seen = tiny_model(path), []
    model.decoder.register_forward_hook(lambda module, args, found: seen.extend(found))
    model(make_batch([1, 2]))
    assert all(found.logits.is_contiguous() and found.boxes.is_contiguous() for found in seen)


@pytest.mark.parametrize("path", MODELS)
def test_detections(tiny_model, make_batch, path):
    model = tiny_model(path, postprocessing__num_select=7).eval()
    with torch.no_grad():
        outputs = model(
            [{k: v for k, v in item.items() if k != "instances"} for item in make_batch([0, 0])]
        )
    for output in outputs:
        found = output["instances"]
        assert found.image_size == (128, 192)  # the original size, twice the fed one
        assert len(found) <= 7 and found.pred_classes.max() < 3
        in_order = isinstance(model.postprocessing.pick, BestPairs)
        assert not in_order or (found.scores[:-1] >= found.scores[1:]).all()
        assert (found.pred_boxes.tensor[:, 2:] <= torch.tensor([192, 128])).all()


def test_the_padding_of_a_batch_is_said_to_the_encoder(tiny_model, make_batch):
    model = tiny_model()
    small, large = make_batch([1], size=(64, 64)), make_batch([1], size=(64, 96))
    images = model.preprocessing([small[0]["image"], large[0]["image"]])
    assert images.tensor.shape == (2, 3, 64, 96)
    assert (
        images.padding[0, :, 64:].all()
        and not images.padding[0, :, :64].any()
        and not images.padding[1].any()
    )
    assert (images.tensor[0, :, :, 64:] == 0).all()


def test_losses_are_divided_by_the_given_number_of_targets(tiny_model, make_batch):
    model, batch = tiny_model(), make_batch([3, 1])
    own, given = model(batch), model(batch, Step(torch.tensor(8.0)))
    for name in own:
        torch.testing.assert_close(own[name], 2 * given[name])


@pytest.mark.parametrize("path", [TWO_STAGE, DENSE])
def test_losses_are_those_of_the_sum_of_micro_batches(tiny_model, make_batch, path):
    # GroupNorm and no dropout: images do not know of each other.
    model, batch = tiny_model(path, encoder__sizes__dropout=0.0), make_batch([2, 2])
    whole = sum(model(batch).values())
    half = Step(torch.tensor(4.0), share=0.5)
    parts = sum(sum(model([item], half).values()) for item in batch)
    torch.testing.assert_close(whole, parts, rtol=1e-5, atol=0)


@pytest.mark.parametrize("path", [PLUS_PLUS, DENSE])
def test_activation_checkpointing_changes_nothing(tiny_model, make_batch, path):
    batch, plain = make_batch([2, 1]), {"encoder__sizes__dropout": 0.0}
    saving = {**plain, "encoder__checkpointing": True, "decoder__checkpointing": True}
    one, other = (gradients(tiny_model(path, **options), batch) for options in (plain, saving))
    torch.testing.assert_close(one, other)


def test_two_stages_learn_by_softmax(tiny_config, make_batch):
    cfg = tiny_config(TWO_STAGE)
    cfg.model.criterion.class_loss = {"_target_": "hdetr_d2.losses.SoftmaxLoss"}
    model = instantiate(cfg.model)
    losses, grads = gradients(model, make_batch([2, 1]))
    assert all(loss.isfinite() for loss in losses.values())
    assert [name for name, grad in grads.items() if grad is None] == []
    assert model.query_selection.heads.class_heads[0].out_features == 4


def test_fewer_tokens_than_queries(tiny_model, make_batch):
    model = tiny_model(query_selection__num_queries=500)
    losses, _ = gradients(model, make_batch([2, 1]))
    assert all(loss.isfinite() for loss in losses.values())


def test_a_label_outside_the_classes_is_named(tiny_model, make_batch):
    batch = make_batch([2, 1])
    batch[1] |= {"file_name": "cat.jpg", "image_id": 17}
    batch[1]["instances"].gt_classes[0] = 3
    with pytest.raises(UserError, match=r"image 17 \(cat.jpg\) has the label 3.*0 to 2"):
        tiny_model()(batch)


@pytest.mark.parametrize("box", [[float("nan"), 0, 5, 5], [9, 0, 5, 5], [1, 1, 1, 5]])
def test_a_broken_box_is_named(tiny_model, make_batch, box):
    batch = make_batch([2, 1])
    batch[0]["instances"].gt_boxes.tensor[1] = torch.tensor(box)
    with pytest.raises(UserError, match="image 0 .* has the box"):
        tiny_model()(batch)


def test_training_needs_instances(tiny_model, make_batch):
    batch = make_batch([1])
    del batch[0]["instances"]
    with pytest.raises(UserError, match="instances"):
        tiny_model()(batch)


def test_parts_that_contradict_each_other(tiny_model):
    with pytest.raises(ValueError, match="refine"):
        tiny_model(TWO_STAGE, decoder__refine=False)
    with pytest.raises(ValueError, match="look_forward_twice needs"):
        tiny_model("common/models/deformable_detr.py", decoder__look_forward_twice=True)


def test_a_model_needs_queries(tiny_model):
    with pytest.raises(ValueError, match="num_queries=0"):
        tiny_model(query_selection__num_queries=0)


def test_backbone_and_neck_that_do_not_fit(tiny_model):
    with pytest.raises(ValueError, match=r"'res5': 2048.*'res5': 96"):
        tiny_model(neck__in_shapes=[512, 1024, 2048])


def test_class_heads_are_what_depends_on_the_data(tiny_model):
    model = tiny_model()
    keys = model.class_head_keys()
    assert set(keys) <= set(model.state_dict())
    assert {model.state_dict()[key].shape[0] for key in keys} == {3}
    assert len(keys) == 2 * (3 + 1)  # weight and bias of three layers and of the proposals


@pytest.mark.needs_cuda
def test_training_step_on_a_gpu(tiny_model, make_batch):
    batch = make_batch([2, 1])
    on_cpu = tiny_model()(batch)
    on_gpu = tiny_model().cuda()(batch)
    for name, loss in on_cpu.items():
        torch.testing.assert_close(loss, on_gpu[name].cpu(), rtol=1e-3, atol=1e-4)


class HalfImages(PostProcessing):
    """Finds the left half of every image, with what schemes have learned."""

    training_only = ("scheme_slots",)

    def __call__(self, model, maps, batched_inputs):
        boxes = [torch.tensor([[0.0, 0.0, width / 2, height]]) for height, width in maps.frames]
        found = [
            Instances(size, pred_boxes=Boxes(box), scores=torch.ones(1))
            for size, box in zip(maps.frames, boxes, strict=True)
        ]
        return to_original_size(found, batched_inputs)


def test_another_post_processing_takes_the_place_of_the_queries(tiny_model, make_batch):
    batch = make_batch([1, 1])
    model = tiny_model(postprocessing=HalfImages()).eval()
    for item, output in zip(batch, model(batch), strict=True):
        height, width = item["height"], item["width"]
        assert output["instances"].pred_boxes.tensor.tolist() == [[0, 0, width / 2, height]]
    assert model.training_only_keys() == ["scheme_slots"]


CONVERSIONS = {
    "to": lambda model: model.to(torch.bfloat16),
    "half": lambda model: model.half(),
    "double": lambda model: model.double(),
    "a model around it": lambda model: torch.nn.Sequential(model).bfloat16(),
}


@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=CONVERSIONS)
@pytest.mark.parametrize("path", [DENSE, TWO_STAGE])
def test_parameters_of_another_precision_are_refused(tiny_model, path, convert):
    with pytest.raises(UserError, match=r"is torch\.\w+, but .* torch.float32.*autocast"):
        convert(tiny_model(path))


def test_another_default_dtype_is_refused(tiny_model):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(UserError, match="float64, but .* leave out torch.set_default_dtype"):
            tiny_model(TWO_STAGE)
    finally:
        torch.set_default_dtype(before)


def test_conversions_that_keep_the_precision_work(tiny_model, make_batch):
    model = tiny_model(TWO_STAGE)
    assert model.to("cpu").float().to(torch.float32) is model
    assert all(loss.isfinite() for loss in model(make_batch([1, 0])).values())


def test_a_user_may_register_a_detr_of_his_own() -> None:
    assert "DETR" not in META_ARCH_REGISTRY
