"""Two normal distributions, fitted value by value."""

import math

Component = tuple[float, float, float]
"""Share, mean, variance."""


def densities(value: float, found: list[Component]) -> list[float]:
    """Of each component, times its share."""
    return [
        share * math.exp(-((value - mean) ** 2) / (2 * var)) / math.sqrt(2 * math.pi * var)
        for share, mean, var in found
    ]


def slow_fit(values: list[float], most: int = 100) -> list[Component]:
    """Both components, until nothing changes."""
    found = [(0.5, min(values), 1.0), (0.5, max(values), 1.0)]
    last = -math.inf
    for _ in range(most):
        likelihood, parts = 0.0, []
        for value in values:
            density = densities(value, found)
            likelihood += math.log(sum(density)) / len(values)
            parts.append([each / sum(density) for each in density])
        found = []
        for component in (0, 1):
            weights = [part[component] for part in parts]
            mean = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
            squares = sum(w * (v - mean) ** 2 for w, v in zip(weights, values, strict=True))
            share = sum(weights) / len(values)
            found.append((share, mean, squares / sum(weights) + 1e-6))
        if abs(likelihood - last) < 1e-3:
            break
        last = likelihood
    return found


def smaller_half(kept: list[tuple[float, int]]) -> list[int]:
    """Anchors of the component with the smaller losses, up to where it is densest."""
    fitted = slow_fit([loss for loss, _ in kept])
    small = [
        (sum(d), anchor) for (loss, anchor) in kept if (d := densities(loss, fitted))[0] >= d[1]
    ]
    densest = max(range(len(small)), key=lambda place: small[place][0])
    return [anchor for _, anchor in small[: densest + 1]]
