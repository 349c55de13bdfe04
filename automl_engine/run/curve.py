"""The learning curve of the challenge: score over transformed time, and the area under it (ALC).

The rules are those of the challenge's scoring program (v20191219).  Where its two halves disagree we follow the
drawn curve: a prediction later than the budget is dropped, and times that go backwards are an error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

T0_S = 60.0
BUDGET_S = 1200.0


def time_transform(t: float, budget_s: float = BUDGET_S, t0_s: float = T0_S) -> float:
    """ln(1 + t/t0) / ln(1 + T/t0): 0 at the start of the clock, 1 at the end of the budget."""
    return math.log1p(t / t0_s) / math.log1p(budget_s / t0_s)


def step_curve(
    times: Sequence[float], scores: Sequence[float], budget_s: float = BUDGET_S, t0_s: float = T0_S
) -> tuple[list[float], list[float]]:
    """(x, y): from x[i] on, up to x[i + 1], the score is y[i]; x is transformed time from 0 to 1.

    The curve is 0 before the first prediction and the last score is held to the end.  A worse later prediction
    lowers it.  Of several predictions at the same time the last one counts.

    Args:
        times: seconds since the clock started, in order.

    Raises:
        ValueError: the times go backwards, or their number is not that of the scores.
    """
    if list(times) != sorted(times):
        raise ValueError(f"times must not go backwards but got {list(times)}")
    points = [(t, s) for t, s in zip(times, scores, strict=True) if t <= budget_s]
    x = [0.0, *(time_transform(t, budget_s, t0_s) for t, _ in points), 1.0]
    y = [0.0, *(s for _, s in points)]
    return x, [*y, y[-1]]


def alc(times: Sequence[float], scores: Sequence[float], budget_s: float = BUDGET_S, t0_s: float = T0_S) -> float:
    """The area under the step curve; at most 1, negative when the scores are; 0 without a prediction."""
    x, y = step_curve(times, scores, budget_s, t0_s)
    return sum(score * (x[i + 1] - x[i]) for i, score in enumerate(y[:-1]))
