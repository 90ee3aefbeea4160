"""The mask head: against its definition query by query, its losses, and what it refuses."""

import pytest
import torch
import torch.nn.functional as F

from hdetr_d2.losses import MaskLoss
from hdetr_d2.modeling import MaskHead
from hdetr_d2.structures import (
    BACKGROUND,
    Group,
    GroupOutput,
    ImageMaps,
    Match,
    Memory,
    Predictions,
    Step,
    Targets,
)

SIZE = (60, 44)
MASKS = "common/models/deformable_detr_pp_masks.py"


def make_head(**changes):
    loss = MaskLoss(weights={"mask": 1.0, "dice": 1.0})
    options = dict(dim=32, num_heads=4, in_shapes=[6, 5], in_features=["res3", "res2"], loss=loss)
    torch.manual_seed(0)
    return MaskHead(**options | {"level": 0} | changes)


def make_maps(batch=2):
    """Two levels, of which the finer one is padded for the first image."""
    shapes = ((4, 3), (2, 2))
    features = {"res2": torch.randn(batch, 5, 15, 11), "res3": torch.randn(batch, 6, 8, 6)}
    levels = [torch.randn(batch, 32, *shape) for shape in shapes]
    padding = torch.zeros(batch, 16, dtype=torch.bool)
    padding[0, 9:12] = True
    memory = Memory(torch.randn(batch, 16, 32), padding, shapes, torch.ones(batch, 2, 2))
    return ImageMaps(features, levels, memory, SIZE, [SIZE] * batch, [SIZE] * batch)


def mask_of_one_query(head, state, maps, image):
    """The definition, without anything shared between queries."""
    tokens, padding = maps.memory.level(0)
    attention = head.attention(state[None, None], tokens[image][None], padding[image][None])
    attention = attention[0].unflatten(-1, maps.memory.shapes[0])
    x = torch.cat([maps.levels[0][image][None], attention], 1)
    x = head.norms[0](head.convs[0](x)).relu()
    x = head.norms[1](head.convs[1](x)).relu()
    for index, name in enumerate(["res3", "res2"]):
        feature = head.adapters[index](maps.features[name][image][None])
        x = feature + F.interpolate(x, feature.shape[-2:], mode="nearest")
        x = head.norms[index + 2](head.convs[index + 2](x)).relu()
    return head.output(x)[0, 0]


def test_against_the_definition_of_each_query():
    head, maps, states = make_head(), make_maps(), torch.randn(2, 3, 32)
    logits = head(states, maps)
    assert logits.shape == (2, 3, 15, 11)
    expected = [
        [mask_of_one_query(head, state, maps, i) for state in row] for i, row in enumerate(states)
    ]
    torch.testing.assert_close(logits, torch.stack([torch.stack(row) for row in expected]))


def test_an_image_by_itself():
    head, maps, states = make_head(), make_maps(), torch.randn(2, 3, 32)
    together = head(states, maps)
    for index in range(2):
        alone = head(states[index : index + 1], maps.of_image(index))
        torch.testing.assert_close(alone[0], together[index])


def test_logits_in_pixels_are_those_of_the_padded_images_cut():
    head, maps = make_head(), make_maps()
    logits = torch.randn(2, 3, 15, 11)
    whole = F.interpolate(logits, SIZE, mode="bilinear", align_corners=False)
    assert torch.equal(head.upsample(logits, maps, (50, 40)), whole[..., :50, :40])


def losses_of(head, maps, states, assignment, counts, ground_truths=4.0, weight=1.0):
    torch.manual_seed(1)
    masks = torch.rand(2, 2, 50, 44) > 0.5
    valid = torch.arange(2) < torch.tensor(counts)[:, None]
    targets = Targets(torch.zeros(2, 2, dtype=torch.int64), torch.rand(2, 2, 4), valid, masks)
    predictions = Predictions(torch.zeros(2, 2, 5, 3), torch.zeros(2, 2, 5, 4), states)
    output = GroupOutput(
        Group(name="", assigner=Match((1, 1)), weight=weight), predictions, targets
    )
    assignment = torch.stack([torch.full_like(assignment, BACKGROUND), assignment])
    return head.losses(output, assignment, maps, Step(torch.tensor(ground_truths))), masks


def test_losses_are_those_of_the_matched_queries_of_the_last_layer():
    head, maps, states = make_head(), make_maps(), torch.randn(2, 5, 32)
    assignment = torch.tensor([[-1, 1, -1, 0, -1], [-1, -1, 0, -1, -1]])
    losses, masks = losses_of(head, maps, states, assignment, [2, 1])
    logits = head.upsample(head(states, maps), maps, (50, 44))
    rows, queries, targets = [0, 0, 1], [3, 1, 2], [0, 1, 0]
    learned = torch.ones(1, 3, dtype=torch.bool)
    expected = head.loss(logits[rows, queries][None], masks[rows, targets][None], learned)
    assert set(losses) == {"loss_mask", "loss_dice"}
    for name, loss in losses.items():
        torch.testing.assert_close(loss, expected[name] / 4)


def test_only_the_first_of_several_queries_of_a_target_gives_its_mask():
    head, maps, states = make_head(), make_maps(), torch.randn(2, 5, 32)
    one = torch.tensor([[0, 1, -1, -1, -1], [0, -1, -1, -1, -1]])
    several = torch.tensor([[0, 1, 1, 0, -1], [0, 0, 0, -1, -1]])
    first, _ = losses_of(head, maps, states, one, [2, 1])
    assert losses_of(head, maps, states, several, [2, 1])[0] == first


def test_the_normaliser_counts_and_the_part_of_the_main_group_does_not():
    head, maps, states = make_head(), make_maps(), torch.randn(2, 5, 32)
    assignment = torch.tensor([[0, 1, -1, -1, -1], [0, -1, -1, -1, -1]])
    whole, _ = losses_of(head, maps, states, assignment, [2, 1], ground_truths=1.0)
    part, _ = losses_of(head, maps, states, assignment, [2, 1], ground_truths=8.0, weight=0.5)
    for name in whole:
        torch.testing.assert_close(whole[name], 8 * part[name])


def test_without_objects_losses_are_zero_and_so_are_the_gradients():
    head, maps, states = make_head(), make_maps(), torch.randn(2, 5, 32)
    losses, _ = losses_of(head, maps, states, torch.full((2, 5), BACKGROUND), [0, 0], 0.0)
    assert all(loss.item() == 0 for loss in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad is not None and not p.grad.any() for p in head.parameters())


def test_a_head_that_does_not_fit(tiny_model):
    with pytest.raises(ValueError, match="in_shapes has 1 numbers"):
        make_head(in_shapes=[6])
    with pytest.raises(ValueError, match="mask head takes features .*'res3': 7"):
        tiny_model(MASKS, mask_head__in_shapes=[256, 7, 64])
    with pytest.raises(ValueError, match="panoptic needs model.mask_head"):
        tiny_model(
            postprocessing__panoptic={
                "_target_": "hdetr_d2.modeling.PanopticMerger",
                "thing_classes": [0],
            }
        )


def test_a_model_without_masks_ignores_those_of_its_data(tiny_model, make_batch):
    batch = make_batch([2, 1])
    with_masks = tiny_model()(batch)
    for item in batch:
        item["instances"].remove("gt_masks")
    assert tiny_model()(batch) == with_masks


def test_channels_follow_from_the_backbone(tiny_model, make_batch):
    model = tiny_model(MASKS, mask_head__in_shapes=None)
    channels = {"res2": 32, "res3": 48, "res4": 192}
    assert model.mask_head.in_channels == {n: channels[n] for n in model.mask_head.in_features}
    assert "loss_mask" in model(make_batch([1, 2]))
