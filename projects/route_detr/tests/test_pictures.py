"""Links and matrices of a routing."""

import io

import pytest
import torch
from PIL import Image

from hdetr_d2.projects.route_detr import Routing
from hdetr_d2.projects.route_detr.pictures import Link, draw_routing, links
from hdetr_d2.projects.route_detr.recording import Recording

BIAS = torch.tensor([[9.0, -2.0, 0.5], [1.0, -9.0, 0.0], [-0.5, -3.0, 9.0]])


def test_links_are_between_different_queries_and_the_strongest_come_first():
    assert links(BIAS, 2, suppressed=True) == [Link(2, 1, -3.0), Link(0, 1, -2.0)]
    assert links(BIAS, 2, suppressed=False) == [Link(1, 0, 1.0), Link(0, 2, 0.5)]


def test_only_what_is_lowered_is_suppressed():
    assert len(links(BIAS, 9, suppressed=True)) == 3
    assert links(torch.zeros(3, 3), 9, suppressed=False) == []
    assert links(torch.ones(1, 1), 1, suppressed=False) == []


@pytest.mark.parametrize("queries", [1, 3])
def test_a_picture(queries):
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.4], [0.2, 0.3, 0.1, 0.1], [0.8, 0.7, 0.2, 0.2]])
    routing = Routing(BIAS, torch.rand(3, 3))
    recording = Recording({4: routing, 5: routing}, boxes, torch.rand(3)).top(queries)
    assert recording.routings[5].gate.shape == (queries, queries)
    file = io.BytesIO()
    figure = draw_routing(Image.new("RGB", (60, 40)), recording, num_links=2)
    figure.savefig(file, format="png", dpi=40)
    assert Image.open(file).format == "PNG"
    titles = [axes.get_ylabel() for axes in figure.axes]
    assert sum("layer" in title for title in titles) == 2
