"""Backbone, the registry, post-processing and the small things in layers."""

import hdetr_d2  # noqa: F401

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import META_ARCH_REGISTRY, Backbone, detector_postprocess
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn


class Tiny(Backbone):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self._out_features = ["c1", "c2"]
        self._out_feature_channels = {"c1": 4, "c2": 8, "unused": 1}
        self._out_feature_strides = {"c1": 2, "c2": 4, "unused": 8}

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"c1": self.conv(image)}


class TestBackbone:
    def test_is_abstract(self):
        with pytest.raises(TypeError):
            Backbone()

    def test_defaults(self):
        backbone = Tiny()
        assert isinstance(backbone, nn.Module)
        assert backbone.size_divisibility == 0
        assert backbone.padding_constraints == {}
        assert backbone(torch.zeros(1, 3, 8, 8))["c1"].shape == (1, 4, 4, 4)

    def test_output_shape(self):
        shapes = Tiny().output_shape()
        assert list(shapes) == ["c1", "c2"]
        assert shapes["c2"] == ShapeSpec(channels=8, stride=4)


def test_shape_spec():
    spec = ShapeSpec(channels=3)
    assert (spec.channels, spec.height, spec.width, spec.stride) == (3, None, None, None)
    assert spec == ShapeSpec(3)


def test_registry():
    @META_ARCH_REGISTRY.register()
    class ContractModel(nn.Module):
        pass

    assert META_ARCH_REGISTRY.get("ContractModel") is ContractModel
    assert "ContractModel" in META_ARCH_REGISTRY
    with pytest.raises(KeyError, match="NoSuchModel"):
        META_ARCH_REGISTRY.get("NoSuchModel")
    with pytest.raises(AssertionError):
        META_ARCH_REGISTRY.register(ContractModel)


class TestPostprocess:
    def predictions(self, *boxes: list[float]) -> Instances:
        return Instances(
            (100, 200),
            pred_boxes=Boxes(torch.tensor(boxes).reshape(-1, 4)),
            scores=torch.rand(len(boxes)),
        )

    def test_scales_to_the_output(self):
        output = detector_postprocess(self.predictions([20.0, 10, 40, 30]), 50, 400)
        assert output.image_size == (50, 400)
        assert output.pred_boxes.tensor.tolist() == [[40, 5, 80, 15]]

    def test_clips_and_drops_what_lies_outside(self):
        boxes = [-10.0, 90, 20, 120], [210.0, 10, 220, 20], [50.0, 50, 50, 60]
        output = detector_postprocess(self.predictions(*boxes), 100, 200)
        assert output.pred_boxes.tensor.tolist() == [[0, 90, 20, 100]]
        assert output.scores.shape == (1,)

    def test_nothing_detected(self):
        assert len(detector_postprocess(self.predictions(), 10, 10)) == 0

    def test_masks_are_pasted_over_their_boxes(self):
        predictions = self.predictions([20.0, 10, 40, 30], [0.0, 0, 8, 8], [500.0, 0, 600, 8])
        masks = torch.zeros(3, 1, 4, 4)
        masks[0] = 1
        masks[1, :, :, :2] = 1  # the left half
        predictions.pred_masks = masks
        output = detector_postprocess(predictions, 100, 200)
        assert output.pred_masks.shape == (2, 100, 200)
        assert output.pred_masks.dtype == torch.bool
        assert output.pred_masks[0, 11:29, 21:39].all()
        assert output.pred_masks[0].sum() == 20 * 20 - 4 * 3  # interpolation rounds the corners
        assert output.pred_masks[1].sum() == 8 * 4
        assert output.pred_masks[1, :8, :4].all()

    def test_mask_threshold(self):
        predictions = self.predictions([0.0, 0, 10, 10])
        predictions.pred_masks = torch.full((1, 1, 5, 5), 0.4)
        assert detector_postprocess(predictions, 100, 200, 0.3).pred_masks[0, 2:8, 2:8].all()
        predictions.pred_masks = torch.full((1, 1, 5, 5), 0.4)
        assert not detector_postprocess(predictions, 100, 200).pred_masks.any()

    def test_masks_without_detections(self):
        predictions = self.predictions()
        predictions.pred_masks = torch.zeros(0, 1, 4, 4)
        assert detector_postprocess(predictions, 10, 20).pred_masks.shape == (0, 10, 20)

    def test_module_path(self):
        from detectron2.modeling.postprocessing import detector_postprocess as same

        assert same is detector_postprocess
