"""The whole detector against recorded outputs of the released code: its checkpoint is converted,
and every loss of both branches, the gradients and the detections are compared.
"""

import hdetr_d2  # noqa: F401

import math
import sys
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from detectron2.config import LazyConfig, instantiate

from hdetr_d2.checkpoint import load_for_inference
from hdetr_d2.engine.convert import convert_checkpoint
from hdetr_d2.errors import UserError
from hdetr_d2.modeling.backbone import without_pretrained
from hdetr_d2.structures import Match, QueryGroup

sys.path.insert(0, str(Path(__file__).parent))
from recorded import gradient_norms, load, training_inputs

from hdetr_d2.projects.route_detr.importer_names import family_name, rename

pytestmark = pytest.mark.slow

RUNS = ["lam0.0_last1", "lam0.5_last1", "lam0.5_last3", "lam1.0_last1", "lam1.0_last3"]
LAYERS = 3


@pytest.fixture(scope="module")
def case():
    return load("route_detr")


@pytest.fixture(scope="module")
def convert(case):
    """Converts the recorded checkpoint for so many routed layers."""
    with TemporaryDirectory() as folder:
        torch.save(case.checkpoint(), f"{folder}/theirs.pth")

        @cache
        def run(last: int):
            return convert_checkpoint(
                f"{folder}/theirs.pth",
                source="route-detr",
                output=f"{folder}/{last}",
                arguments={"num_queries": 30, "last_n": last},
            )

        yield run


def build(converted, strength: float):
    """The model with a constant strength, and the loss weight that the recording had."""
    cfg = LazyConfig.load(str(converted.config))
    assert (cfg.data.resize.rounding, cfg.data.resize.interpolation) == ("route_detr", "torch")
    (scheme,) = cfg.model.schemes
    scheme.strength.update(first=strength, last=strength)
    scheme.weight.update(first=0.5, last=0.5)
    with without_pretrained():
        model = instantiate(cfg.model)
    model.load_state_dict(torch.load(converted.weights)["model"])
    return model


def expected_losses(case, recorded):
    """By our names, weighted."""
    weights = case.weight_dict
    main = {name: weights[name] * value for name, value in recorded["main"].items()}
    routed = {_routed(name): weights[name] * value / 2 for name, value in recorded["aux"].items()}
    return main | routed


def _routed(name: str) -> str:
    """`loss_class_0` is `loss_class_routed_0` in the routed branch."""
    kind, *layer = name.removeprefix("loss_").split("_")
    return "_".join(["loss", kind, "routed", *layer])


@pytest.mark.parametrize("run", RUNS)
def test_every_loss_and_gradient(case, convert, run):
    recorded = case.runs[run]
    strength, last = float(run[3:6]), int(run[-1])
    model = build(convert(last), strength).train()
    losses = model(training_inputs(case))
    expected = expected_losses(case, recorded)
    assert set(losses) == set(expected)
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value, rel=1e-4), name
    total = sum(losses.values())
    assert total.item() == pytest.approx(recorded["combined_total_f64sum"], rel=1e-6)
    total.backward()
    norms = gradient_norms(model)
    assert math.hypot(*norms.values()) == pytest.approx(recorded["total_grad_norm"], rel=1e-4)
    for name, value in (recorded["grad_norms"] | recorded["router_grad_norms"]).items():
        ours = rename(family_name(name, LAYERS), LAYERS)
        assert norms[ours] == pytest.approx(value, rel=1e-3, abs=1e-6), name


def detect(model, images, strength: float):
    """Predictions of the last decoder layer; those of the routed queries where there is a strength,
    as the release evaluates while it trains.
    """
    batch = model.preprocessing(images)
    memory = model.encoder(model.neck(model.backbone(batch.tensor)), batch.padding)
    bias = partial(model.schemes[0].bias, strength) if strength else None
    queries = model.query_selection(memory).main
    group = QueryGroup(name="", queries=queries, assigner=Match((1,) * LAYERS), attention_bias=bias)
    (found,) = model.decoder([group], memory)
    return found.logits[-1], found.boxes[-1]


@torch.no_grad()
@pytest.mark.parametrize("run", ["", *RUNS[1:]])
def test_predictions_in_evaluation(case, convert, run):
    strength, last = (float(run[3:6]), int(run[-1])) if run else (0.0, 1)
    logits, boxes = detect(build(convert(last), strength).eval(), case.images, strength)
    prefix = f"eval.{run}." if run else "eval."
    for found, name in ((logits, "pred_logits"), (boxes, "pred_boxes")):
        expected = torch.from_numpy(case.arrays[prefix + name])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_detections_of_the_converted_checkpoint(case, convert):
    converted = convert(2)
    cfg = LazyConfig.load(str(converted.config))
    with without_pretrained():
        model = instantiate(cfg.model).eval()
    load_for_inference(model, converted.weights)
    images = [dict(image=image) for image in case.images]
    with torch.no_grad():
        found = [output["instances"] for output in model(images)]
    for index, instances in enumerate(found):
        expected = torch.from_numpy(case.arrays[f"eval.img{index}_scores"])
        torch.testing.assert_close(instances.scores, expected, rtol=1e-4, atol=1e-5)


def test_routers_of_layers_that_are_not_routed_are_left_out_by_name(case, convert):
    left_out = convert(1).left_out
    routers = [name for name in case.shapes if ".query_router." in name]
    assert set(left_out) == {name for name in routers if ".layers.2." not in name}
    assert set(left_out.values()) == {
        f"layer {layer} is not routed: only the last 1 of 3 are" for layer in (0, 1)
    }
    assert convert(3).left_out == {}


@pytest.mark.parametrize("last", [0, 4])
def test_a_number_of_routed_layers_that_does_not_fit(convert, last):
    with pytest.raises(UserError, match=f"last_n={last} does not fit the 3 decoder layers"):
        convert(last)
