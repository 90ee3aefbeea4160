"""What counts as a difference between a file and its model."""

import importlib
import logging

import numpy as np
import pytest
import torch

from hdetr_d2.exporting.agreement import compare
from hdetr_d2.exporting.export import _beyond, plan_for
from hdetr_d2.exporting.graph import DetectorGraph
from hdetr_d2.exporting.program import make_graph

module = importlib.import_module("hdetr_d2.exporting.export")  # the package has a function there


class Altered:
    """A session that gives what the graph gives, but for one output."""

    def __init__(self, graph, **changes):
        self.graph = graph
        self.changes = changes

    def run(self, inputs):
        with torch.no_grad():
            outputs = self.graph(*map(torch.from_numpy, inputs.values()))
        found = {n: o.numpy().copy() for n, o in zip(self.graph.outputs, outputs, strict=True)}
        for name, change in self.changes.items():
            found[name] = change(found[name])
        return found


@pytest.fixture
def graph(tiny_model):
    return DetectorGraph(tiny_model("common/models/deformable_detr.py").eval())


@pytest.fixture
def inputs():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 96), np.uint8)
    sizes = np.array([[64, 96]])
    return {"images": pixels, "sizes": sizes, "originals": sizes}


def lost(array):
    array[0, 0] = np.nan
    return array


def test_nothing_differs_from_itself(graph, inputs):
    found = compare(graph, Altered(graph), inputs, 1)
    assert (found.scores, found.boxes, found.missing) == (0, 0, 0)
    assert found.pairs == 36  # all pairs of 12 queries and 3 classes
    assert _beyond(found, 0.0, 96) == ""


@pytest.mark.parametrize(
    ("name", "change", "named"),
    [
        ("boxes", lost, "boxes"),  # no number is within no tolerance
        ("scores", lost, "missing"),
        ("boxes", lambda boxes: boxes + 1, "boxes"),
        ("scores", lambda scores: scores * 0.9, "scores"),
        ("labels", lambda labels: labels * 0, "missing"),
    ],
)
def test_what_differs_is_named(graph, inputs, name, change, named):
    found = compare(graph, Altered(graph, **{name: change}), inputs, 1)
    assert f"{named} above" in _beyond(found, 1e-3, 96)


def test_a_check_of_nothing_is_said(tiny_detector, tmp_path, monkeypatch, caplog):
    """As of bfloat16 on noise, where nothing is an object."""
    plan = plan_for(tiny_detector.model, (64, 96), 1)
    graph = make_graph(tiny_detector.model, plan)
    for head in graph.model.decoder.heads.class_heads:
        head.bias -= 9.0
    card = module._card(tiny_detector, graph.model, plan, "bfloat16", graph)
    monkeypatch.setattr(module, "open_session", lambda path: Altered(graph))
    monkeypatch.setattr(logging.getLogger("hdetr_d2"), "propagate", True)
    module._check(graph, card, tmp_path, [], None)
    assert "nothing of boxes and scores was compared" in caplog.text
