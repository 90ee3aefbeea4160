"""Masks of detections, in pixels of the original images."""

import pytest
import torch
import torch.nn.functional as F

MASKS = "common/models/deformable_detr_pp_masks.py"


@pytest.fixture
def batch(make_batch):
    """Two images of different sizes, so that one of them is padded."""
    return [*make_batch([1], size=(64, 96)), *make_batch([1], size=(48, 64))]


def masks_by_hand(model, batch, found):
    """The masks of all queries of a batch at once, as DETR makes them."""
    seen = []
    with model.decoder.register_forward_hook(lambda module, args, answer: seen.extend(answer)):
        model(batch)
    maps = model.encode([item["image"] for item in batch])
    logits = F.interpolate(model.mask_head(seen[0].states, maps), (64, 96), mode="bilinear")
    masks = []
    for row, instances, (height, width) in zip(logits, found, maps.sizes, strict=True):
        inside = (row.sigmoid() > 0.5)[:, :height, :width].float()
        masks.append(F.interpolate(inside[None], instances.image_size)[0].bool())
    return [m[instances.pred_queries] for m, instances in zip(masks, found, strict=True)]


@torch.no_grad()
def test_masks_of_detections(tiny_model, batch):
    model = tiny_model(MASKS).eval()
    found = [output["instances"] for output in model(batch)]
    expected = masks_by_hand(model, batch, found)
    for instances, item, masks in zip(found, batch, expected, strict=True):
        assert instances.pred_masks.dtype == torch.bool
        assert instances.pred_masks.shape == (len(instances), item["height"], item["width"])
        # A logit next to 0 may fall to the other side when queries are computed together.
        assert (instances.pred_masks != masks).float().mean() < 1e-3
        assert 0 < instances.pred_masks.float().mean() < 1


@torch.no_grad()
def test_no_detections(tiny_model, batch, monkeypatch):
    model = tiny_model(MASKS, num_select=0).eval()
    assert [output["instances"].pred_masks.shape for output in model(batch)] == [
        (0, 128, 192),
        (0, 96, 128),
    ]


@torch.no_grad()
def test_masks_do_not_know_the_schemes(tiny_model, batch):
    hybrid = {"_target_": "hdetr_d2.schemes.HybridBranch", "num_queries": 9, "repeats": 2}
    plain, trained = tiny_model(MASKS).eval(), tiny_model(MASKS, schemes=[hybrid]).eval()
    trained.load_state_dict(plain.state_dict(), strict=False)
    for one, other in zip(plain(batch), trained(batch), strict=True):
        assert torch.equal(one["instances"].pred_masks, other["instances"].pred_masks)


@torch.no_grad()
def test_panoptic_segmentations(tiny_model, batch):
    merger = {"_target_": "hdetr_d2.modeling.PanopticMerger", "thing_classes": [0, 1]}
    model = tiny_model(MASKS, panoptic={**merger, "threshold": 0.0}).eval()
    for output, item in zip(model(batch), batch, strict=True):
        ids, segments = output["panoptic_seg"]
        assert ids.dtype == torch.int32 and ids.shape == (item["height"], item["width"])
        assert ids.unique().tolist() == [segment["id"] for segment in segments]
        assert sum(segment["area"] for segment in segments) == ids.numel()
    model = tiny_model(MASKS, panoptic={**merger, "threshold": 1.0}).eval()
    for output in model(batch):
        ids, segments = output["panoptic_seg"]
        assert not ids.any() and segments == []
