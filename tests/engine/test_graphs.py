"""Which trainings may be recorded."""

import pytest
import torch
from omegaconf import OmegaConf

from hdetr_d2.engine.graphs import CudaGraphs
from hdetr_d2.engine.train import build_record
from hdetr_d2.errors import UserError

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
FITTING = {"cuda_graphs": True, "accumulate": 1, "keep_bad_steps": 0}


def record(device: torch.device = GPU, **options: object) -> object:
    return build_record(OmegaConf.create({"train": FITTING | options}), device)


def test_as_the_option_says() -> None:
    assert isinstance(record(), CudaGraphs)
    assert record(cuda_graphs=False) is None
    assert build_record(OmegaConf.create({"train": {}}), CPU) is None


@pytest.mark.parametrize(
    ("device", "options", "sentence"),
    [
        (CPU, {}, "needs a GPU, and the training is on cpu"),
        (GPU, {"accumulate": 2}, "needs train.accumulate=1"),
        (GPU, {"keep_bad_steps": 3}, "needs train.keep_bad_steps=0"),
    ],
)
def test_what_it_needs(device: torch.device, options: dict[str, int], sentence: str) -> None:
    with pytest.raises(UserError, match=f"train.cuda_graphs=true {sentence}"):
        record(device, **options)


def test_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectron2.utils.comm.get_world_size", lambda: 2)
    with pytest.raises(UserError, match="needs one process"):
        record()
