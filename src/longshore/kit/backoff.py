"""How long to wait before trying again."""

from __future__ import annotations


def backoff_s(
    attempt: int,
    fraction: float,
    *,
    first_s: float = 0.1,
    most_s: float = 30.0,
    factor: float = 2.0,
    jitter: float = 0.2,
) -> float:
    """Seconds before try number `attempt` + 1: exponential, capped at `most_s`, spread by ±`jitter`; `fraction` is random in [0, 1)."""
    wait = min(most_s, first_s * factor ** min(attempt, 64))
    return wait * (1.0 + jitter * (2.0 * fraction - 1.0))
