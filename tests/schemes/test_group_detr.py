"""Group DETR: its blocks, each matched for itself, and their part in the loss."""

from types import SimpleNamespace

import pytest
import torch

from hdetr_d2.schemes import GroupDETR
from hdetr_d2.schemes.group_detr import _deal_out
from hdetr_d2.structures import Queries

NODE = {"_target_": "hdetr_d2.schemes.GroupDETR", "groups": 4}


@pytest.mark.parametrize("counts", [[3, 1], [2, 0], [0, 0]])
def test_every_block_is_matched_with_all_targets(
    tiny_model, make_batch, train_step, summed_distances, counts
):
    losses, groups = train_step(tiny_model(schemes=[NODE]), make_batch(counts))
    assert list(groups) == ["", "group", "enc"]
    in_blocks = groups["group"].assignment.unflatten(2, (3, 12)) >= 0  # [L, B, R, Q]
    assert in_blocks.sum(-1).tolist() == [[[count] * 3 for count in counts]] * 3
    for name in ("", "group"):
        expected = 5 * summed_distances(groups[name])[-1] / max(1, sum(counts)) / 4
        loss = losses[f"loss_bbox_{name}" if name else "loss_bbox"].item()
        assert loss == pytest.approx(expected, rel=1e-5)


def test_equal_blocks_have_equal_losses(tiny_model, make_batch):
    model = tiny_model(
        "common/models/deformable_detr.py", schemes=[NODE], encoder__sizes__dropout=0.0
    )
    main, slots = model.query_selection.slots.table, model.scheme_slots["group"].table
    with torch.no_grad():
        slots.copy_(main.repeat_interleave(3, 0))  # dealt out: the same queries in every block
    losses = model(make_batch([3, 1]))
    for kind in ("class_0", "bbox_1", "giou"):
        of_main = losses[f"loss_{kind}"].item()
        name, _, layer = kind.partition("_")
        of_blocks = losses["_".join(filter(None, ("loss", name, "group", layer)))].item()
        assert of_blocks == pytest.approx(3 * of_main, rel=1e-5)


def test_proposals_that_another_scheme_took(tiny_model, make_batch, train_step):
    branch = {"_target_": "hdetr_d2.schemes.HybridBranch", "num_queries": 1500, "repeats": 6}
    model = tiny_model(schemes=[branch, NODE])  # there are 128 tokens
    losses, groups = train_step(model, make_batch([3, 1]))
    assert groups["one2many"].assignment.shape == (3, 2, 116)
    assert groups["group"].assignment.shape == (3, 2, 0)
    assert {loss.item() for name, loss in losses.items() if "group" in name} == {0.0}
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_main_group_without_others_has_the_whole_loss(tiny_model, make_batch):
    """There are 128 tokens: none is left for other groups."""
    options = {"query_selection__num_queries": 500, "encoder__sizes__dropout": 0.0}
    batch = make_batch([3, 1])
    alone, grouped = (tiny_model(schemes=s, **options)(batch) for s in ([], [NODE]))
    assert all(grouped[name].item() == loss.item() for name, loss in alone.items())


@pytest.mark.parametrize("left", [0, 2, 3])
def test_its_part_is_that_of_the_groups_that_are_there(left):
    rows = torch.zeros(1, left, 1)
    context = SimpleNamespace(slots={"group": Queries(rows, rows, rows)})
    weight = GroupDETR(groups=4).main_weight(context)
    assert weight == (1 / 4 if left >= 3 else 1.0)


def test_masks_are_learned_by_the_main_group_in_full(tiny_model, make_batch):
    path, batch = "common/models/deformable_detr_pp_masks.py", make_batch([3, 1])
    alone, grouped = (
        tiny_model(path, schemes=s, encoder__sizes__dropout=0.0)(batch) for s in ([], [NODE])
    )
    for name, part in {"loss_mask": 1, "loss_dice": 1, "loss_bbox": 4, "loss_class": 4}.items():
        torch.testing.assert_close(part * grouped[name], alone[name], rtol=1e-5, atol=1e-6)


def test_queries_are_dealt_out_by_rank():
    rank = torch.arange(8.0)[None, :, None]
    dealt = _deal_out(Queries(rank, rank, rank), 3)
    assert dealt.content.flatten().tolist() == [0, 3, 1, 4, 2, 5]  # 6 and 7 are left over
    assert _deal_out(Queries(rank, rank, rank), 9).content.shape == (1, 0, 1)


def test_one_group_is_no_scheme():
    with pytest.raises(ValueError, match="groups=1 must be at least 2"):
        GroupDETR(groups=1)
