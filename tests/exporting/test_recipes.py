"""The model of every shipped recipe, and every kind of backbone in them, becomes a program."""

from functools import cache

import pytest
import torch
import yaml
from detectron2.config import instantiate
from detectron2.utils.registry import locate
from omegaconf import OmegaConf

from hdetr_d2.engine.config import load_config, plain_config
from hdetr_d2.engine.shipped import shipped_configs
from hdetr_d2.exporting.export import exportable, plan_for
from hdetr_d2.exporting.program import example_inputs, make_graph, trace
from hdetr_d2.inference.loading import TrainedDetector
from hdetr_d2.losses import Criterion, FederatedLoss, FocalLoss
from hdetr_d2.modeling import TimmBackbone
from hdetr_d2.ops.ms_deform_attn_grid_sample import ms_deform_attn_grid_sample
from hdetr_d2.ops.portable import attention_as

pytestmark = pytest.mark.slow

RECIPES = shipped_configs()
BACKBONES = ["resnet50", "swin_tiny_patch4_window7_224", "tf_efficientnet_lite0", "convnext_tiny"]


@pytest.mark.parametrize("name", RECIPES)
def test_the_model_of_a_recipe(name, shrink, few_operators):
    cfg = load_config(str(RECIPES[name]))
    cfg.data.num_classes = 3
    few_operators(shrink(cfg).model, points=1)
    model = OmegaConf.to_container(OmegaConf.create(plain_config(cfg)).model, resolve=True)
    agree(yaml.safe_dump(at_inference(model)))


# What makes no difference to the operators of a program. The criterion is asked for scores alone.
OF_TRAINING = {"schemes", "freeze", "frozen", "checkpointing", "dropout", "drop_path_rate"}
OF_TRAINING |= {"proposal_weight", "look_forward_twice", "weights_of"}
NUMBERS = {"num_select", "bias"}
CRITERION = {"matcher": None, "weights": {"class": 1.0, "bbox": 1.0, "giou": 1.0}}


def at_inference(node):
    """A node without what is of the training alone, and numbers that make no other operators: the
    models of many recipes are then one.
    """
    if isinstance(node, list):
        return [at_inference(each) for each in node]
    if not isinstance(node, dict):
        return node
    target = locate(node["_target_"]) if "_target_" in node else None
    # Their scores, whatever they learn.
    if isinstance(target, type) and issubclass(target, (FocalLoss, FederatedLoss)):
        return {"_target_": "hdetr_d2.losses.FocalLoss"}
    left_out = OF_TRAINING | NUMBERS
    kept = {key: at_inference(each) for key, each in node.items() if key not in left_out}
    return kept | CRITERION if target is Criterion else kept


@cache
def agree(text):
    torch.manual_seed(0)
    model = instantiate(OmegaConf.create(text))
    model = exportable(TrainedDetector(model.eval(), lambda entry: entry, ()))
    plan = plan_for(model, None if square_of(model) else (64, 96), 1)
    graph = make_graph(model, plan)
    inputs = example_inputs(1, plan.size).values()
    program = trace(graph, plan).module()
    with torch.no_grad(), attention_as(ms_deform_attn_grid_sample):
        expected = graph(*inputs)
        found = program(*inputs)
    for name, one, other in zip(graph.outputs, found, expected, strict=True):
        if one.dtype.is_floating_point:
            torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-4, msg=name)
        else:
            assert torch.equal(one, other), name


def square_of(model):
    preprocessing = model.preprocessing
    return getattr(preprocessing, "side", 0) or preprocessing.square


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_in_a_program(name):
    backbone = TimmBackbone(name=name, pretrained=False, norm=None).eval().requires_grad_(False)
    image = torch.randn(1, 3, 96, 128)
    program = torch.export.export(backbone, (image,), strict=False).module()
    with torch.no_grad():
        expected, found = backbone(image), program(image)
    for key, feature in expected.items():
        torch.testing.assert_close(found[key], feature, atol=1e-4, rtol=1e-4)
