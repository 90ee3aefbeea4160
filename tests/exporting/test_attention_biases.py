"""What a decoder adds to the self-attention of its main queries is in the exported file."""

from hdetr_d2 import Predictor

import pytest
import torch
from detectron2.config import instantiate

from hdetr_d2.data import DetrMapper
from hdetr_d2.exporting import export
from hdetr_d2.exporting.export import exportable, plan_for
from hdetr_d2.exporting.program import example_inputs, make_graph, trace
from hdetr_d2.inference.loading import TrainedDetector
from hdetr_d2.ops.ms_deform_attn_grid_sample import ms_deform_attn_grid_sample
from hdetr_d2.ops.portable import attention_as

MODELS = ["common/models/relation_detr.py", "common/models/mds_detr.py"]
FILES = {"onnx": "x.onnx", "openvino": "x_openvino"}  # a program is made of every recipe


@pytest.fixture(params=MODELS)
def detector(request, tiny_config, few_operators) -> TrainedDetector:
    torch.manual_seed(0)
    cfg = tiny_config(request.param)
    cfg.model.schemes = []
    few_operators(cfg.model, points=1)
    cfg.model.backbone.out_features = ["res4", "res5"]
    cfg.model.neck.update(in_shapes=[192, 96], num_levels=2)
    model = instantiate(cfg.model)
    for parameter in model.decoder.attention_bias.parameters():
        torch.nn.init.normal_(parameter)  # a new one may say nothing
    return TrainedDetector(model.eval(), DetrMapper(is_train=False), ("a", "b", "c"))


@pytest.mark.slow
def test_files(detector, made_once, tmp_path):
    """Compared with the model before they are kept."""
    with made_once():
        for format, name in FILES.items():
            path = tmp_path / name
            export(detector, path, format=format, size=(64, 96), batch=1)
            assert Predictor(path) is not None


@pytest.mark.slow
def test_a_program_for_images_of_any_size(detector):
    model = exportable(detector)
    plan = plan_for(model, None, None)
    program = trace(make_graph(model, plan), plan).module()
    height, width = plan.size
    inputs = [*example_inputs(3, (height, 2 * width)).values()]
    with torch.no_grad(), attention_as(ms_deform_attn_grid_sample):
        found, expected = program(*inputs), make_graph(model, plan)(*inputs)
    torch.testing.assert_close(found[0], expected[0], atol=1e-3, rtol=1e-4)


def test_without_the_bias_the_graph_finds_something_else(detector):
    plan = plan_for(exportable(detector), (64, 96), 1)
    graph = make_graph(detector.model, plan)
    inputs = [*example_inputs(1, plan.size).values()]
    with torch.no_grad():
        before = graph(*inputs)[0]
        for parameter in graph.model.decoder.attention_bias.parameters():
            parameter.neg_()
        assert not torch.allclose(graph(*inputs)[0], before)
