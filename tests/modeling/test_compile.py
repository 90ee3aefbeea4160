"""torch.compile of what a model does at inference, without a break in the graph."""

import pytest
import torch

MODELS = ["deformable_detr_pp", "dino", "detr"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("forget_graphs"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_selection_and_decoder_are_one_graph(name: str, tiny_model, make_batch) -> None:
    model = tiny_model(f"common/models/{name}.py").eval()
    memory = model.encode([item["image"] for item in make_batch([1, 1])]).memory
    compiled = torch.compile(model.predict, fullgraph=True, backend="eager")
    expected, found = model.predict(memory), compiled(memory)
    torch.testing.assert_close(found.logits, expected.logits)
    torch.testing.assert_close(found.boxes, expected.boxes)
