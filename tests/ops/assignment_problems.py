"""Assignment problems of every kind, and what makes an answer right."""

import numpy as np
import torch
from torch import Tensor

ALLOWED = np.float32(1e30)


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.random(shape)


def integers(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(0, 4, shape)


def all_equal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.ones(shape)


def equal_rows(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(rng.random((shape[0], 1, shape[2])), shape)


def products(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(np.arange(1, shape[1] + 1)[:, None] * np.arange(1, shape[2] + 1), shape)


def huge(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (2 * rng.random(shape) - 1) * 1e30


def tiny(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.random(shape) * 1e-30


def far_from_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.random(shape) + 1e4


def of_all_magnitudes(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.random(shape) * 10.0 ** rng.integers(-20, 20, shape)


def half_forbidden(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.where(rng.random(shape) < 0.5, np.inf, rng.random(shape))


def nearly_all_forbidden(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    never = rng.choice([np.nan, np.inf, -np.inf, 2e30], shape)
    return np.where(rng.random(shape) < 0.9, never, rng.random(shape))


FAMILIES = [uniform, integers, all_equal, equal_rows, products, huge, tiny, far_from_zero,
            of_all_magnitudes, half_forbidden, nearly_all_forbidden]  # fmt: skip


def check_answer(cost: np.ndarray, answer: np.ndarray, twin: np.ndarray, capacity: int) -> None:
    """As many pairs as the twin makes, none forbidden, no target too often, and as cheap."""
    queries, best = np.flatnonzero(answer >= 0), np.flatnonzero(twin >= 0)
    assert len(queries) == len(best)
    if not len(queries):
        return
    chosen = cost[answer[queries], queries]
    assert (np.abs(chosen) <= ALLOWED).all()
    assert np.bincount(answer[queries]).max() <= capacity
    least = cost[twin[best], best].astype(np.float64).sum()
    largest = np.abs(cost[np.abs(cost) <= ALLOWED]).max()
    difference = chosen.astype(np.float64).sum() - least
    assert abs(difference) <= 1e-6 * len(queries) * largest


def step(images: int = 2, targets: int = 20) -> tuple[list[Tensor], Tensor, list[int]]:
    """The problems of a training step with a hybrid branch and encoder proposals, smaller."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(6 * images, 60), (6 * images, 300), (images, 2000)]
    costs = [torch.rand(p, targets, q, generator=generator) for p, q in sizes]
    return costs, torch.tensor([targets, targets // 2])[:images], [1, 6, 1]
