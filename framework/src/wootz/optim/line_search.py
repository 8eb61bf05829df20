"""A step length along a direction that meets the strong Wolfe conditions (Nocedal & Wright 2006, algorithm 3.5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from wootz._tensor import Tensor

__all__ = ["Point", "strong_wolfe"]

ARMIJO, CURVATURE = 1e-4, 0.9


@dataclass(frozen=True)
class Point:
    """Where a step of length ``t`` leads: the loss, its gradient, and its slope along the direction."""

    t: float
    loss: float
    gradient: Tensor
    slope: float


Probe: TypeAlias = Callable[[float], Point]


def strong_wolfe(probe: Probe, start: Point, t: float, reach: float, tolerance: float, most: int) -> tuple[Point, int]:
    """The point found and how often ``probe`` was called: at most ``most`` times after the first.

    ``reach`` is the direction's largest element: an interval that moves no parameter by ``tolerance`` is not split.
    """
    left, right, calls = _bracket(probe, start, t, most)
    if right is None:
        return left, calls
    return _zoom(probe, start, left, right, reach, tolerance, calls, most)


def _too_high(start: Point, point: Point) -> bool:
    return point.loss > start.loss + ARMIJO * point.t * start.slope


def _flat(start: Point, point: Point) -> bool:
    return abs(point.slope) <= -CURVATURE * start.slope


def _bracket(probe: Probe, start: Point, t: float, most: int) -> tuple[Point, Point | None, int]:
    """Two points with a good one between them, or a good one alone."""
    before, point, tries = start, probe(t), 0
    while tries < most:
        if _too_high(start, point) or (tries > 1 and point.loss >= before.loss):
            return before, point, tries + 1
        if _flat(start, point):
            return point, None, tries + 1
        if point.slope >= 0:
            return before, point, tries + 1
        t = _cubic(before, point, point.t + 0.01 * (point.t - before.t), point.t * 10)
        before, point, tries = point, probe(t), tries + 1
    return start, point, tries + 1


def _zoom(
    probe: Probe, start: Point, a: Point, b: Point, reach: float, tolerance: float, calls: int, most: int
) -> tuple[Point, int]:
    """Narrows an interval until a point in it is good."""
    low, high = (0, 1) if a.loss <= b.loss else (1, 0)
    ends, stuck = [a, b], False
    while calls - 1 < most and abs(b.t - a.t) * reach >= tolerance:
        t, stuck = _inside(ends, stuck)
        point, calls = probe(t), calls + 1
        if _too_high(start, point) or point.loss >= ends[low].loss:
            ends[high] = point
            low, high = (0, 1) if ends[0].loss <= ends[1].loss else (1, 0)
        else:
            done = _flat(start, point)
            if not done and point.slope * (ends[high].t - ends[low].t) >= 0:
                ends[high] = ends[low]
            ends[low] = point
            if done:
                break
        a, b = ends
    return ends[low], calls


def _inside(ends: list[Point], stuck: bool) -> tuple[float, bool]:
    """The cubic's minimum, moved a tenth of the interval inward if it keeps to an end."""
    least, most = sorted(end.t for end in ends)
    t, margin = _cubic(ends[0], ends[1], least, most), 0.1 * (most - least)
    if min(most - t, t - least) >= margin:
        return t, False
    if stuck or t >= most or t <= least:
        return (most - margin if abs(t - most) < abs(t - least) else least + margin), False
    return t, True


def _cubic(a: Point, b: Point, least: float, most: float) -> float:
    """Where the cubic through two points and their slopes is smallest, within bounds; their middle if nowhere."""
    if a.t > b.t:
        a, b = b, a
    if a.t == b.t:
        return (least + most) / 2
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    width = b.slope - a.slope + 2 * math.sqrt(square) if square >= 0 else 0.0
    if not width:
        return (least + most) / 2
    return min(max(b.t - (b.t - a.t) * (b.slope + math.sqrt(square) - d1) / width, least), most)
