"""The graph of tensors against the model itself, for every architecture."""

from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig

from hdetr_d2.exporting.graph import DetectorGraph, QueriesGraph, choosing
from hdetr_d2.modeling.nms import keep_best
from hdetr_d2.modeling.soft_nms import soft_nms

ROOT = Path(__file__).parents[2]
MODELS = sorted(
    str(path.relative_to(ROOT / "configs"))
    for path in (ROOT / "configs" / "common" / "models").glob("*.py")
)
PLUS_PLUS = "common/models/deformable_detr_pp.py"
PICKS = [
    {"_target_": "hdetr_d2.modeling.picks.BestPairs"},
    {"_target_": "hdetr_d2.modeling.picks.BestClasses"},
    {"_target_": "hdetr_d2.modeling.NMSPairs", "iou_threshold": 0.5},
    {"_target_": "hdetr_d2.modeling.SoftNMSPairs", "iou_threshold": 0.5, "min_score": 1e-3},
]


def images() -> tuple[list[torch.Tensor], tuple[torch.Tensor, ...]]:
    """Two images of different sizes, by themselves and as a graph takes them."""
    generator = torch.Generator().manual_seed(0)
    sizes = torch.tensor([[64, 96], [48, 64]])
    each = [
        torch.randint(0, 256, (3, h, w), generator=generator, dtype=torch.uint8)
        for h, w in sizes.tolist()
    ]
    stacked = torch.full((2, 3, 64, 96), 77, dtype=torch.uint8)  # which nobody looks at
    for row, image in zip(stacked, each, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
    return each, (stacked, sizes, sizes * 2)


def inputs_of(each: list[torch.Tensor]) -> list[dict]:
    return [
        {"image": image, "height": 2 * image.shape[1], "width": 2 * image.shape[2]}
        for image in each
    ]


def check(model: torch.nn.Module) -> None:
    """Detections of the graph are those of the model, row by row."""
    each, inputs = images()
    with torch.no_grad():
        expected = [output["instances"] for output in model(inputs_of(each))]
        outputs = dict(
            zip(DetectorGraph(model).outputs, DetectorGraph(model)(*inputs), strict=True)
        )
    for index, instances in enumerate(expected):
        boxes = outputs["boxes"][index]
        solid = (boxes[:, 2:] > boxes[:, :2]).all(1) & ~outputs["scores"][index].isneginf()
        assert len(instances) == int(solid.sum())
        torch.testing.assert_close(outputs["scores"][index][solid], instances.scores)
        assert torch.equal(outputs["labels"][index][solid], instances.pred_classes)
        assert torch.equal(outputs["queries"][index][solid], instances.pred_queries)
        torch.testing.assert_close(boxes[solid], instances.pred_boxes.tensor, atol=1e-4, rtol=1e-5)
        if "masks" in outputs:
            height, width = each[index].shape[1:]
            small = outputs["masks"][index][solid][:, :height, :width]
            assert (small != instances.pred_masks.small).float().mean() < 1e-3


@pytest.mark.parametrize("path", MODELS)
def test_every_model(tiny_model, path):
    check(tiny_model(path).eval())


@pytest.mark.parametrize("pick", PICKS, ids=lambda pick: pick["_target_"].rpartition(".")[2])
def test_every_pick(tiny_model, pick):
    check(tiny_model(PLUS_PLUS, postprocessing__pick=pick).eval())


def test_images_in_a_grey_square(tiny_config):
    from detectron2.config import instantiate

    cfg = tiny_config(PLUS_PLUS)
    cfg.model.preprocessing = {
        "_target_": "hdetr_d2.modeling.GreySquare",
        "pixel_mean": [120.0] * 3,
        "pixel_std": [60.0] * 3,
        "side": 96,
    }
    model = instantiate(cfg.model).eval()
    each, (stacked, sizes, originals) = images()
    square = torch.zeros(2, 3, 96, 96, dtype=torch.uint8)
    square[:, :, :64] = stacked
    with torch.no_grad():
        expected = [output["instances"] for output in model(inputs_of(each))]
        scores, _, boxes, *_ = DetectorGraph(model)(square, sizes, originals)
    for index, instances in enumerate(expected):
        solid = (boxes[index][:, 2:] > boxes[index][:, :2]).all(1)
        torch.testing.assert_close(scores[index][solid], instances.scores)
        torch.testing.assert_close(
            boxes[index][solid], instances.pred_boxes.tensor, atol=1e-4, rtol=1e-5
        )


def test_queries_without_the_post_processing(tiny_model):
    model = tiny_model(PLUS_PLUS).eval()
    graph = QueriesGraph(model)
    _, inputs = images()
    with torch.no_grad():
        scores, boxes, proposals = graph(*inputs)
        best, labels, found, queries, same = DetectorGraph(model)(*inputs)
    assert graph.outputs == ("query_scores", "query_boxes", "proposals")
    assert torch.equal(proposals, same)
    batch = torch.arange(2)[:, None]
    assert torch.equal(scores[batch, queries, labels], best)
    assert torch.equal(boxes[batch, queries], found)


def test_the_proposals_of_another_are_taken(tiny_model):
    model = tiny_model(PLUS_PLUS).eval()
    graph = DetectorGraph(model)
    _, inputs = images()
    with torch.no_grad():
        own = graph(*inputs)
        with choosing(model, lambda confidence, number: own[-1].flip(1)):
            other = graph(*inputs)
    assert torch.equal(other[-1], own[-1].flip(1))
    assert not torch.equal(other[0], own[0])  # mixed selection: the order matters
    with torch.no_grad():
        assert torch.equal(graph(*inputs)[0], own[0])


def exported(function, *arguments):
    """What the form for exporters gives."""

    class Graph(torch.nn.Module):
        def forward(self, *tensors):
            return function(*tensors)

    return torch.export.export(Graph(), arguments, strict=False).module()(*arguments)


def test_the_rounds_of_suppression_in_a_graph():
    generator = torch.Generator().manual_seed(0)
    overlap = torch.rand(2, 40, 40, generator=generator)
    same = (overlap + overlap.mT) / 2 > 0.75
    same[:, torch.arange(40), torch.arange(40)] = True
    found = exported(lambda each: keep_best(each, 40), same)
    assert torch.equal(found, keep_best(same, 40))
    assert 0 < int(found.sum()) < 80


def test_soft_suppression_in_a_graph():
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(2, 30, generator=generator)
    factors = torch.rand(2, 30, 30, generator=generator)

    def suppressed(scores, factors):
        def factors_of(place):
            return factors.gather(1, place[..., None].expand_as(factors[:, :1]))[:, 0]

        return soft_nms(scores, factors_of, 0.05, 20)

    for found, expected in zip(
        exported(suppressed, scores, factors), suppressed(scores, factors), strict=True
    ):
        known = ~suppressed(scores, factors)[0].isneginf()
        assert torch.equal(found[known], expected[known])


def test_no_config_asks_for_a_pick_that_is_not_tried():
    known = {pick["_target_"].rpartition(".")[2] for pick in PICKS}
    for path in MODELS:
        pick = LazyConfig.load(str(ROOT / "configs" / path)).model.postprocessing.get("pick")
        assert pick is None or getattr(pick["_target_"], "__name__", "") in known
