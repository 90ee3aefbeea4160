import pytest
import torch

from hdetr_d2.utils.device import Constants, UnknownConstant, to_device

LIKE = torch.zeros(1)


def test_numbers_take_dtype_and_device() -> None:
    taken = to_device([(1, 2), (3, 4)], LIKE)
    assert taken.dtype == torch.float32 and taken.tolist() == [[1, 2], [3, 4]]


def test_constants_are_copied_once() -> None:
    with Constants() as constants:
        first = to_device([(1, 2), (3, 4)], LIKE)
        assert to_device(((1, 2), (3, 4)), LIKE) is first
        assert to_device([1, 2, 3, 4], LIKE) is not first
        assert to_device([(1, 2), (3, 4)], LIKE.long()) is not first
        constants.growing = False
        assert to_device([(1, 2), (3, 4)], LIKE) is first
        with pytest.raises(UnknownConstant, match=r"\[5\] was not among"):
            to_device([5], LIKE)
    assert to_device([(1, 2), (3, 4)], LIKE) is not first


@pytest.mark.needs_cuda
def test_a_copy_starts_from_page_locked_memory() -> None:
    from torch.profiler import ProfilerActivity, profile

    place = torch.zeros(1, device="cuda")
    with profile(activities=[ProfilerActivity.CUDA]) as trace:
        to_device([1.0] * 100_000, place)
        torch.cuda.synchronize()
    copies = [event.name for event in trace.events() if "HtoD" in event.name]
    assert copies and all("Pinned" in name for name in copies)
