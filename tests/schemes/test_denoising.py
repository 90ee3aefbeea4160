"""Denoising: its queries and their assignment in numbers, its noise, and who sees whom."""

import pytest
import torch

from hdetr_d2.schemes import CentreNoise, Context, ContrastiveNoise, Denoising
from hdetr_d2.structures import Match, Queries, QueryGroup, Step, Targets

TARGETS = Targets(
    labels=torch.tensor([[2, 0], [1, 0]]),
    boxes=torch.tensor([[[0.5, 0.4, 0.2, 0.6], [0.3, 0.3, 0.1, 0.2]], [[0.6] * 4, [0.0] * 4]]),
    valid=torch.tensor([[True, True], [True, False]]),
)
NODE = {
    "_target_": "hdetr_d2.schemes.Denoising",
    "num_classes": 3,
    "dim": 32,
    "box_noise": {"_target_": "hdetr_d2.schemes.ContrastiveNoise", "scale": 0.4},
    "label_noise": 0.25,
    "groups": 4,
}


def denoising(**changes):
    quiet = {"box_noise": ContrastiveNoise(scale=0), "label_noise": 0.0, "groups": 2}
    return Denoising(**{"num_classes": 3, "dim": 4, **quiet, **changes})


def contribute(scheme, targets=TARGETS, *, reference=4, embed_boxes=lambda boxes: None):
    """The group of the scheme beside main queries with references of so many numbers."""
    places = torch.rand(2, 5, reference) if reference else None
    main = QueryGroup(
        name="", queries=Queries(torch.randn(2, 5, 4), None, places), assigner=Match((1, 1))
    )
    context = Context(
        step=Step.of(targets),
        inputs=[],
        targets=targets,
        maps=None,
        main=main,
        slots=None,
        num_layers=2,
        embed_boxes=embed_boxes,
    )
    (group,) = scheme.contribute(context).groups
    return group


def test_without_noise_the_queries_are_the_targets():
    scheme = denoising()
    group = contribute(scheme)
    a, b, c = (scheme.label_embed.weight[label] for label in (2, 0, 1))
    none = torch.zeros(4)
    block = [torch.stack([a, b, a, b]), torch.stack([c, none, c, none])]
    assert torch.equal(group.queries.content, torch.stack(block).repeat(1, 2, 1))
    one, other = TARGETS.boxes
    other = torch.stack([other[0], torch.full((4,), 0.5)])
    boxes = torch.stack([one.repeat(4, 1), other.repeat(4, 1)])
    torch.testing.assert_close(group.queries.reference, boxes)
    assert group.assigner.assignment.tolist() == [[[0, 1, -1, -1] * 2, [0, -1, -1, -1] * 2]] * 2
    assert group.assigner.capacity == (2, 2)
    assert (group.name, group.layout, group.sees) == ("dn", (2, 4), ("",))


def test_without_negatives_a_target_has_one_query_in_a_block():
    group = contribute(denoising(box_noise=CentreNoise(scale=0), groups=3))
    assert group.layout == (3, 2)
    # DN-DETR's padding has no loss, unlike DINO's, which is background.
    assert group.assigner.assignment.tolist() == [[[0, 1] * 3, [0, -2] * 3]] * 2


def test_queries_have_the_parts_of_the_main_ones():
    scheme = denoising()
    points = contribute(scheme, reference=2, embed_boxes=lambda boxes: 10 * boxes).queries
    boxes = contribute(scheme).queries.reference
    torch.testing.assert_close(points.reference, boxes[..., :2])
    torch.testing.assert_close(points.position, 10 * boxes)
    assert contribute(scheme, reference=0).queries.reference is None


@pytest.mark.parametrize(
    ("groups", "max_queries", "most", "blocks"),
    [
        (100, 200, 1, 100),
        (100, 200, 7, 14),
        (100, 200, 60, 1),
        (100, 200, 500, 1),
        (20, None, 9, 20),
    ],
)
def test_as_many_blocks_as_fit(groups, max_queries, most, blocks):
    assert denoising(groups=groups, max_queries=max_queries).num_blocks(most) == blocks


BOX = torch.tensor([0.5, 0.4, 0.2, 0.3])


def moved(noise):
    """How far 20,000 copies of a box move: of every edge, x0, y0, x1, y1, in half sides of the box:
    `Tensor[20000, kinds, 4]`.
    """
    boxes = noise(BOX.expand(20000, noise.kinds, 1, 4))[:, :, 0]
    centre, size = (boxes - BOX).split(2, -1)
    edges = torch.cat([centre - size / 2, centre + size / 2], -1)
    return edges / (BOX[2:] / 2).repeat(2)


def test_contrastive_noise_moves_each_edge_by_itself():
    positive, negative = moved(ContrastiveNoise(scale=0.4)).abs().unbind(1)
    assert positive.max() <= 0.4 + 1e-5
    assert negative.min() >= 0.4 - 1e-5 and negative.max() <= 0.8 + 1e-5
    torch.testing.assert_close(positive.mean(0), torch.full((4,), 0.2), rtol=0.03, atol=0)
    torch.testing.assert_close(negative.mean(0), torch.full((4,), 0.6), rtol=0.03, atol=0)
    edges = moved(ContrastiveNoise(scale=0.4))
    assert ((edges > 0).float().mean(0) - 0.5).abs().max() < 0.02  # in both directions
    together = torch.corrcoef(edges.flatten(1).T) - torch.eye(8)
    assert together.abs().max() < 0.05


def test_centre_noise_moves_centre_and_size():
    boxes = CentreNoise(scale=0.4)(BOX.expand(20000, 1, 1, 4))[:, 0, 0]
    centre, size = ((boxes - BOX) / BOX[2:].repeat(2)).split(2, -1)
    assert centre.abs().max() <= 0.2 + 1e-5 and size.abs().max() <= 0.4 + 1e-5
    torch.testing.assert_close(centre.abs().mean(0), torch.full((2,), 0.1), rtol=0.03, atol=0)
    torch.testing.assert_close(size.abs().mean(0), torch.full((2,), 0.2), rtol=0.03, atol=0)


@pytest.mark.parametrize("noise", [CentreNoise(scale=1.0), ContrastiveNoise(scale=1.0)])
def test_noised_boxes_stay_in_the_image(noise):
    boxes = torch.tensor([[0.05, 0.95, 0.1, 0.1], [0.5, 0.5, 1.0, 1.0]])
    found = noise(boxes.expand(1000, noise.kinds, 2, 4))
    assert found.min() >= 0 and found.max() <= 1


def test_labels_change_at_the_given_rate():
    targets = Targets(torch.full((2, 1), 1), torch.full((2, 1, 4), 0.5), torch.ones(2, 1).bool())
    scheme = denoising(label_noise=0.25, groups=10000)
    with torch.no_grad():
        content = contribute(scheme, targets).queries.content.flatten(0, 1)
    of_class = [(content == row).all(1).float().mean() for row in scheme.label_embed.weight]
    # A third of what is drawn anew is the old label; the last row is nobody's.
    expected = torch.tensor([1 / 12, 10 / 12, 1 / 12, 0.0])
    torch.testing.assert_close(torch.stack(of_class), expected, rtol=0, atol=0.01)


def test_losses_are_divided_by_all_copies_of_the_targets(tiny_model, make_batch, summed_distances):
    model = tiny_model(schemes=[NODE])
    seen = {}
    model.criterion.register_forward_pre_hook(
        lambda _, args: seen.update({args[0].group.name: args[:2]})
    )
    losses = model(make_batch([3, 1]))
    assert list(seen) == ["", "dn", "enc"]
    _, assignment = seen["dn"]
    assert (assignment >= 0).sum(-1).tolist() == [[4 * 3, 4 * 1]] * 3
    expected = 5 * summed_distances(seen["dn"])[-1] / (4 * 4)
    assert losses["loss_bbox_dn"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "path",
    ["common/models/detr.py", "common/models/deformable_detr.py", "common/models/dino.py"],
)
def test_the_number_of_blocks_changes_no_loss(tiny_model, make_batch, path):
    quiet = {"label_noise": 0.0, "box_noise": {**NODE["box_noise"], "scale": 0.0}}
    options = {"encoder__sizes__dropout": 0.0}
    one, many = (
        tiny_model(path, schemes=[{**NODE, **quiet, "groups": groups}], **options)(
            make_batch([3, 1])
        )
        for groups in (1, 20)
    )
    for name in one:
        torch.testing.assert_close(many[name], one[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("path", ["common/models/dino.py", "common/models/deformable_detr.py"])
def test_the_main_losses_do_not_change(tiny_model, make_batch, path):
    options = {"encoder__sizes__dropout": 0.0}
    plain = tiny_model(path, schemes=[], **options)
    denoised = tiny_model(path, schemes=[NODE], **options)
    denoised.load_state_dict(plain.state_dict(), strict=False)
    with_copies = denoised(make_batch([3, 1]))
    for name, loss in plain(make_batch([3, 1])).items():
        assert with_copies[name].item() == loss.item()


def test_a_batch_without_targets_has_nothing_to_denoise(tiny_model, make_batch):
    losses = tiny_model("common/models/dino.py")(make_batch([0, 0]))
    assert {loss.item() for name, loss in losses.items() if "_dn" in name} == {0.0}
    one_empty = tiny_model("common/models/dino.py")(make_batch([2, 0]))
    assert all(loss > 0 for name, loss in one_empty.items() if "_dn" in name)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"groups": 0}, "groups=0 must be at least 1"),
        ({"max_queries": 0}, "max_queries=0 must be at least 1"),
        ({"label_noise": 1.5}, "label_noise=1.5 must lie between 0 and 1"),
    ],
)
def test_numbers_that_cannot_be(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        denoising(**options)
    with pytest.raises(ValueError, match="scale=-1 must be at least 0"):
        CentreNoise(scale=-1)
