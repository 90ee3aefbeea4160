"""The heads of the released Co-Deformable-DETR, on its own encoder maps, against its numbers."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
import recorded_heads as recorded
from draws import in_order

from hdetr_d2.projects.co_detr.sampling import sample


@pytest.fixture(scope="module")
def case():
    return recorded.load()


@pytest.fixture(scope="module")
def pyramid(case):
    return recorded.pyramid(case)


@pytest.fixture(scope="module")
def targets(case):
    return recorded.targets(case)


@pytest.fixture(scope="module")
def atss(case, pyramid, targets):
    head = recorded.atss(case)
    output = head(pyramid, targets, in_order)
    sum(output.losses.values()).backward()
    return head, output


@pytest.fixture(scope="module")
def faster_rcnn(case, pyramid, targets):
    head = recorded.faster_rcnn(case)
    output = head(pyramid, targets, in_order)
    sum(output.losses.values()).backward()
    return head, output


def test_losses_of_atss(case, atss):
    _, output = atss
    losses = {name: loss.item() for name, loss in output.losses.items()}
    names = {"class": "loss_cls1", "giou": "loss_bbox1", "centerness": "loss_centerness1"}
    expected = {ours: sum(case.losses[theirs]) for ours, theirs in names.items()}
    assert losses == pytest.approx(expected, rel=1e-4)


def test_what_atss_assigns(case, pyramid, atss):
    _, output = atss
    valid = pyramid.cells.valid
    for image, recorded_image in enumerate(case.atss["images"]):
        assignment = output.candidates.assignment[image]
        inside = assignment[valid[image]]  # theirs count from 1
        assert (inside + 1).tolist() == case.arrays[f"atss_gt_inds_img{image}"].tolist()
        full = (assignment >= 0).nonzero()[:, 0]
        assert full.tolist() == recorded_image["positive_full_indices"]
        boxes = output.candidates.boxes[image, full]
        expected = torch.from_numpy(case.arrays[f"atss_pos_anchors_img{image}"])
        torch.testing.assert_close(boxes, expected)
        assert not output.candidates.boxes[image, ~valid[image]].any()


def test_gradients(case, atss, faster_rcnn):
    (one, _), (two, _) = atss, faster_rcnn
    norms = {name: p.grad.norm().item() for name, p in one.named_parameters()}
    for ours, theirs in recorded.ATSS_NAMES.items():
        assert norms[ours] == pytest.approx(case.grad_norms[f"bbox_head.0.{theirs}"], rel=1e-3)
    for level, gradient in enumerate(one.predictor.scales.grad):
        expected = case.grad_norms[f"bbox_head.0.scales.{level}.scale"]
        assert gradient.abs().item() == pytest.approx(expected, rel=1e-3)
    norms = {name: p.grad.norm().item() for name, p in two.named_parameters()}
    compared = 0
    for ours, theirs in recorded.FASTER_RCNN_NAMES.items():
        for kind in ("weight", "bias"):
            if f"{theirs}.{kind}" in case.grad_norms:
                expected = case.grad_norms[f"{theirs}.{kind}"]
                assert norms[f"{ours}.{kind}"] == pytest.approx(expected, rel=1e-3)
                compared += 1
    assert compared >= 6


def test_losses_of_faster_rcnn(case, faster_rcnn):
    _, output = faster_rcnn
    losses = {name: loss.item() for name, loss in output.losses.items()}
    names = {"class": "loss_cls0", "giou": "loss_bbox0"}
    names |= {"class_rpn": "loss_rpn_cls", "bbox_rpn": "loss_rpn_bbox"}
    expected = {ours: case.log_vars[theirs] for ours, theirs in names.items()}
    assert losses == pytest.approx(expected, rel=1e-4)


def test_anchors_that_proposals_learn_from(case, pyramid, targets, faster_rcnn):
    rpn = faster_rcnn[0].rpn
    anchors = rpn.shapes.at(pyramid.cells)
    assignment = rpn.assigner(anchors.boxes, anchors.valid, targets)
    for image, expected in enumerate(case.rpn["images"]):
        # Theirs are counted over the anchors of the image alone.
        inside = assignment[image, anchors.valid[image]][None]
        assert inside.shape[1] == expected["valid_anchors"]
        counts = [(inside >= 0).sum(), (inside == -1).sum(), (inside == -2).sum()]
        assert counts == [expected[key] for key in ("pos_before", "neg_before", "ignored")]
        index, assigned = sample(inside, 128, 256, in_order)
        positive = assigned[0] >= 0
        assert index[0, positive].tolist() == expected["pos_sampled"]
        assert assigned[0, positive].tolist() == expected["pos_gt"]
        negative = case.arrays[f"rpn_neg_sampled_img{image}"].tolist()
        assert index[0, ~positive].tolist() == negative


def test_proposals(case, pyramid, targets, faster_rcnn):
    _, proposals = faster_rcnn[0].rpn(pyramid, targets, in_order)
    assert proposals.valid.all()
    for image, boxes in enumerate(proposals.boxes):
        expected = torch.from_numpy(case.arrays[f"rpn_proposals_img{image}"])[:, :4]
        torch.testing.assert_close(boxes, expected, rtol=1e-4, atol=1e-3)


def test_samples_of_the_second_stage(case, faster_rcnn):
    candidates = faster_rcnn[1].candidates
    for image, expected in enumerate(case.rcnn["images"]):
        boxes = torch.from_numpy(case.arrays[f"rcnn_sampled_boxes_img{image}"])
        torch.testing.assert_close(candidates.boxes[image], boxes, rtol=1e-4, atol=1e-3)
        positive = candidates.assignment[image] >= 0
        assert candidates.assignment[image, positive].tolist() == expected["pos_gt"]
        assert positive[: len(expected["pos_gt"])].all()
        assert (candidates.assignment[image] != -2).all()


def test_features_of_candidates(case, atss, faster_rcnn):
    for branch, (_, output) in enumerate((faster_rcnn, atss)):
        for image, source in enumerate(case.aux[branch]["source_indices"]):
            features = output.candidates.features[image, source, :8]
            expected = torch.from_numpy(case.arrays[f"aux{branch}_feats_ch8"])[image]
            torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["atss", "rcnn"])
def test_detections(case, pyramid, atss, faster_rcnn, name):
    head = (atss if name == "atss" else faster_rcnn)[0].eval()
    with torch.no_grad():
        found = head.detect(pyramid)
    for image, instances in enumerate(found):
        expected = recorded.detections(case, name, image)
        assert instances.image_size == tuple(case.sizes[image])
        assert instances.pred_classes.tolist() == expected["labels"].tolist()
        torch.testing.assert_close(instances.scores, expected["scores"], rtol=1e-4, atol=1e-5)
        boxes = instances.pred_boxes.tensor
        torch.testing.assert_close(boxes, expected["boxes"], rtol=1e-3, atol=1e-2)
