"""Random numbers of a call leave those of everybody else alone."""

import random

import numpy as np
import pytest
import torch

from hdetr_d2.utils.random_state import seeded

CPU = torch.device("cpu")


def draw(device: torch.device = CPU) -> list[float]:
    """A number from each that draws any."""
    drawn = [torch.rand(()).item(), torch.rand((), device=device).item()]
    return [*drawn, float(np.random.rand()), random.random()]


def check(device: torch.device) -> None:
    torch.manual_seed(5)
    np.random.seed(6)
    random.seed(7)
    before = draw(device)
    torch.manual_seed(5)
    np.random.seed(6)
    random.seed(7)
    with seeded(3, [device]):
        one = draw(device)
    with seeded(4, [device]):
        other = draw(device)
    with pytest.raises(KeyError), seeded(3, [device]):
        assert draw(device) == one
        raise KeyError
    assert all(a != b for a, b in zip(one, other, strict=True))
    assert draw(device) == before


def test_what_is_drawn_follows_from_the_seed_and_is_forgotten() -> None:
    check(CPU)


@pytest.mark.needs_cuda
def test_so_it_is_on_a_device() -> None:
    check(torch.device("cuda", torch.cuda.current_device()))


def test_only_the_devices_that_are_named_are_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    with seeded(3, [CPU]):
        pass
    assert seeds == []
