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
    model = tiny_model(MASKS, postprocessing__num_select=0).eval()
    assert [output["instances"].pred_masks.shape for output in model(batch)] == [
        (0, 128, 192),
        (0, 96, 128),
    ]


@torch.no_grad()
def test_masks_of_a_mirrored_image_in_a_letterbox(tiny_model, batch):
    model = tiny_model(MASKS).eval()
    plain = model(batch)[1]["instances"]
    whole = plain.pred_masks.small  # of 48 x 64 pixels
    item = {**batch[1], "outline": (60, 0, 0, 40), "height": 80, "width": 120}
    found = model([batch[0], item])[1]["instances"]
    queries = plain.pred_queries.tolist()
    for query, mask in zip(found.pred_queries.tolist(), found.pred_masks.small, strict=True):
        assert torch.equal(mask, whole[queries.index(query), :40, :60].flip(-1))
    assert len(found) and found.pred_masks.shape[1:] == (80, 120)


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
    model = tiny_model(MASKS, postprocessing__panoptic={**merger, "threshold": 0.0}).eval()
    for output, item in zip(model(batch), batch, strict=True):
        ids, segments = output["panoptic_seg"]
        assert ids.dtype == torch.int32 and ids.shape == (item["height"], item["width"])
        assert ids.unique().tolist() == [segment["id"] for segment in segments]
        assert sum(segment["area"] for segment in segments) == ids.numel()
    model = tiny_model(MASKS, postprocessing__panoptic={**merger, "threshold": 1.0}).eval()
    for output in model(batch):
        ids, segments = output["panoptic_seg"]
        assert not ids.any() and segments == []


@torch.no_grad()
def test_what_a_crop_has_cut_away_is_in_no_segment(tiny_model, batch):
    merger = {"_target_": "hdetr_d2.modeling.PanopticMerger", "thing_classes": [0, 1]}
    model = tiny_model(MASKS, postprocessing__panoptic={**merger, "threshold": 0.0}).eval()
    # 64 pixels in the middle of 96, which are 192 in the file.
    item = {**batch[1], "outline": (-16, 0, 80, 48), "width": 192}
    ids, _ = model([batch[0], item])[1]["panoptic_seg"]
    assert not ids[:, :32].any() and not ids[:, 160:].any() and ids[:, 32:160].all()
