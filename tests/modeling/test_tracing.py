"""Models under `torch.jit.trace`, which fvcore counts in and Detectron2 exports with."""

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from hdetr_d2.ops import extension
from hdetr_d2.ops.flops import FLOP_HANDLES

WHY_NOT = extension.why_no_kernel("ms_deform_attn_fused", torch.device("cpu"))
pytestmark = [
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit"),
    pytest.mark.filterwarnings("ignore:.*torch.meshgrid"),
]
MODELS = [
    "common/models/deformable_detr.py",
    "common/models/deformable_detr_two_stage.py",
    "common/models/dino.py",
]


class OneImage(nn.Module):
    """Tensors in and out, as a trace has them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        (output,) = self.model([{"image": image, "height": 64, "width": 96}])
        found = output["instances"]
        return found.pred_boxes.tensor, found.scores


def by_hand(model: nn.Module, cells: int) -> int:
    """Of deformable attention: five for each channel of every sample of every query."""
    encoder, decoder = model.encoder.layers, model.decoder.layers
    queries = [*([cells] * len(encoder)), *([model.query_selection.slots.num] * len(decoder))]
    attention = next(m for m in model.modules() if hasattr(m, "sampling_offsets"))
    samples = attention.num_heads * attention.num_levels * attention.num_points
    channels = attention.value_proj.out_features // attention.num_heads
    return 5 * sum(queries) * samples * channels


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
@pytest.mark.parametrize("path", MODELS)
def test_the_flops_of_a_model(tiny_model, path):
    model = tiny_model(path).eval()
    cells = []
    model.encoder.register_forward_hook(lambda *args: cells.append(args[-1].tokens.shape[1]))
    analysis = FlopCountAnalysis(OneImage(model), (torch.rand(3, 64, 96) * 255,))
    counts = analysis.set_op_handle(**FLOP_HANDLES).unsupported_ops_warnings(False).by_operator()
    assert counts["ms_deform_attn_fused"] == by_hand(model, int(cells[0]))


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
def test_detectron2_counts_and_traces(tiny_model, make_batch):
    try:
        from detectron2.export import TracingAdapter
        from detectron2.utils.analysis import FlopCountAnalysis as Detectron2Analysis
    except ImportError:
        pytest.skip("the stand-in for Detectron2 has neither")
    model = tiny_model(MODELS[1]).eval()
    batch = [{"image": make_batch([1])[0]["image"].float(), "height": 64, "width": 96}]
    counts = Detectron2Analysis(model, batch).set_op_handle(**FLOP_HANDLES).by_operator()
    assert counts["ms_deform_attn_fused"] > 0
    adapter = TracingAdapter(model, batch, allow_non_tensor=True)
    with torch.no_grad():
        traced = torch.jit.trace(adapter, adapter.flattened_inputs, check_trace=False)
        found, expected = traced(*adapter.flattened_inputs), adapter(*adapter.flattened_inputs)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
