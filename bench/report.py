"""What a benchmark found: one figure of ours beside its peer's, the ratio, and whether the target is met."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """`ratio >=`, `ratio <=` (ours divided by the peer's), `>=` or `<=` (ours alone), against `value`."""

    kind: str
    value: float

    def __str__(self) -> str:
        return f"{self.kind} {self.value:g}"

    def met(self, ours: float, ratio: float | None) -> bool:
        seen = ratio if self.kind.startswith("ratio") else ours
        if seen is None:
            return False
        return seen >= self.value if self.kind.endswith(">=") else seen <= self.value


@dataclass(frozen=True, slots=True)
class Figure:
    """A median of several rounds. `peer` is None where nothing comparable exists."""

    what: str
    unit: str
    ours: float
    peer: float | None = None
    peer_name: str = ""
    target: Target | None = None
    #: the median of the ratios within each round, where that is what counts rather than the ratio of the medians
    of_rounds: float | None = None

    @property
    def ratio(self) -> float | None:
        if self.of_rounds is not None:
            return self.of_rounds
        return self.ours / self.peer if self.peer else None

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.target.met(self.ours, self.ratio)

    def facts(self) -> dict[str, object]:
        """For --json."""
        return {**asdict(self), "target": str(self.target) if self.target else None, "ratio": self.ratio, "met": self.met}


def p50(values: Sequence[float]) -> float:
    """The median; of an even number of values the lower one of the two in the middle."""
    return sorted(values)[(len(values) - 1) // 2]


def table(figures: Iterable[Figure]) -> str:
    lines = [f"{'':<44} {'longshore':>11} {'peer':>11} {'':<7} {'ratio':>8}  {'target':<13} {'':<8} peer is"]
    for figure in figures:
        peer = _number(figure.peer) if figure.peer is not None else ""
        ratio = f"{figure.ratio:.2f}x" if figure.ratio is not None else ""
        verdict = {None: "", True: "met", False: "NOT MET"}[figure.met]
        lines.append(
            f"{figure.what:<44} {_number(figure.ours):>11} {peer:>11} {figure.unit:<7} {ratio:>8}  "
            f"{figure.target or ''!s:<13} {verdict:<8} {figure.peer_name}".rstrip()
        )
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
