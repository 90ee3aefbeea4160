import pytest
import torch

from hdetr_d2.engine.device import (
    MATMUL_PRECISIONS,
    Precision,
    choose_device,
    set_matmul_precision,
)
from hdetr_d2.errors import UserError

CPU = torch.device("cpu")


def test_auto_takes_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto", local_rank=1) == torch.device("cuda", 1)
    assert choose_device("cuda:0", local_rank=1) == torch.device("cuda", 0)
    with pytest.raises(UserError, match="CUDA device 2 is asked for, but there are 2"):
        choose_device("auto", local_rank=2)


def test_cuda_asked_for_and_absent_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"train.device=cuda, but CUDA is not available here"):
        choose_device("cuda")


def test_an_unknown_device_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"train.device=gpu is not a device"):
        choose_device("gpu")


@pytest.mark.parametrize("name", ["mps", "meta", "", 1.5])
def test_only_cpu_and_cuda_are_devices(name: str) -> None:
    with pytest.raises(UserError, match=rf"^device={name} is not a device: auto, cpu, cuda"):
        choose_device(name, option="device")


def test_precision_of_the_options() -> None:
    off = Precision.choose(enabled=False, dtype="float16", device=CPU)
    assert (off.dtype, off.scales_loss) == (None, False)
    on = Precision.choose(enabled=True, dtype="bfloat16", device=CPU)
    assert (on.dtype, on.scales_loss) == (torch.bfloat16, False)
    with on.autocast():
        assert (torch.ones(1, 1) @ torch.ones(1, 1)).dtype is torch.bfloat16
    cuda = Precision.choose(enabled=True, dtype="float16", device=torch.device("cuda"))
    assert cuda.scales_loss


@pytest.mark.parametrize(
    ("dtype", "reason"),
    [("float16", "train.amp.dtype=float16 needs CUDA"), ("half", "is none of bfloat16, float16")],
)
def test_a_type_that_cannot_be_is_a_sentence(dtype: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        Precision.choose(enabled=True, dtype=dtype, device=CPU)


def test_the_precision_of_products_is_pytorchs() -> None:
    before = torch.get_float32_matmul_precision()
    try:
        for name, device, expected in [
            ("auto", CPU, "highest"),
            ("auto", torch.device("cuda", 1), "high"),
            *((name, CPU, name) for name in MATMUL_PRECISIONS if name != "auto"),
            ("highest", torch.device("cuda"), "highest"),
        ]:
            set_matmul_precision(name, device)
            assert torch.get_float32_matmul_precision() == expected
        with pytest.raises(UserError, match=r"matmul_precision=tf32 is none of auto, highest, hi"):
            set_matmul_precision("tf32", CPU)
    finally:
        torch.set_float32_matmul_precision(before)
