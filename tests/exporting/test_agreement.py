"""What counts as a difference between a file and its model."""

import logging

import numpy as np
import pytest
import torch

from hdetr_d2.exporting import export, formats
from hdetr_d2.exporting.agreement import compare
from hdetr_d2.exporting.export import _beyond
from hdetr_d2.exporting.graph import DetectorGraph


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
    form = formats.FORMATS["torch"]
    monkeypatch.setitem(
        formats.FORMATS, "torch", formats.Format(".pt2", ("bfloat16",), (), form.write)
    )
    with torch.no_grad():
        heads = tiny_detector.model.decoder.heads.class_heads
        before = [head.bias.clone() for head in heads]
        for head in heads:
            head.bias -= 9.0
    monkeypatch.setattr(logging.getLogger("hdetr_d2"), "propagate", True)
    try:
        path = tmp_path / "x.pt2"
        export(tiny_detector, path, format="torch", precision="bfloat16", size=(64, 96), batch=1)
    finally:
        with torch.no_grad():
            for head, bias in zip(heads, before, strict=True):
                head.bias.copy_(bias)
    assert "nothing of boxes and scores was compared" in caplog.text
