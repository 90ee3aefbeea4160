"""Polygons [x, y, x, y, ...] of rotated boxes and ellipses."""

import math
from collections.abc import Sequence

# Vertices of an ellipse's polygon, which is smaller by less than a thousandth.
CORNERS = 96


def turned(
    points: Sequence[tuple[float, float]], angle: float, centre: tuple[float, float]
) -> list[float]:
    """Points rotated about a centre.

    Args:
        points: x, y in pixels, y downwards.
        angle: in degrees, clockwise as displayed.
    """
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    polygon: list[float] = []
    for x, y in points:
        dx, dy = x - centre[0], y - centre[1]
        polygon += [centre[0] + dx * cosine - dy * sine, centre[1] + dx * sine + dy * cosine]
    return polygon


def corners_of(box: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    x1, y1, x2, y2 = box
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def ellipse(
    centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0
) -> list[float]:
    """An ellipse with its axes along x and y, rotated by the angle."""
    angles = (2 * math.pi * corner / CORNERS for corner in range(CORNERS))
    points = [
        (centre[0] + radii[0] * math.cos(each), centre[1] + radii[1] * math.sin(each))
        for each in angles
    ]
    return turned(points, angle, centre)
