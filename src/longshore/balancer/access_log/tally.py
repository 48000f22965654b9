"""What lines say for metrics that HAProxy's counters do not have: how times are distributed, and whose error an error was. Pure.

Lines are counted by the minute they ended in. A load balancer without access logs writes lines of errors alone: of these, too, each
tells which it was, and times are left out.
"""

from __future__ import annotations

import msgspec

from longshore.balancer.access_log.formats import actions_executed, request_type
from longshore.balancer.access_log.legend import Legend
from longshore.balancer.access_log.line import Line
from longshore.balancer.render.access_log import REQUEST
from longshore.store.metrics import MINUTE_S, Statistics, step_of

#: pairs of worker and listener whose numbers are remembered
_MOST_WORKERS = 10_000


class Times(msgspec.Struct):
    """Samples of one thing, put together as they come."""

    count: int = 0
    sum: float = 0.0
    minimum: float = 0.0
    maximum: float = 0.0
    distribution: dict[int, float] = {}

    def add(self, value: float) -> None:
        self.minimum = value if not self.count else min(self.minimum, value)
        self.maximum = max(self.maximum, value)
        self.count += 1
        self.sum += value
        step = step_of(value)
        self.distribution[step] = self.distribution.get(step, 0.0) + 1.0

    def statistics(self) -> Statistics:
        return Statistics(float(self.count), self.sum, self.minimum, self.maximum, self.distribution)


class Told(msgspec.Struct):
    """What lines of one load balancer said of one minute."""

    scope: str
    type: str
    #: app/NAME/ID
    load_balancer: str
    minute: int
    #: (target group's ARN, target's address and port) -> seconds it took to answer
    times: dict[str, Times] = {}
    #: name of a metric -> how often
    counts: dict[str, int] = {}


class Tally(msgspec.Struct):
    """What the reader hands to whoever keeps metrics."""

    told: list[Told] = []
    #: lines that HAProxy wrote, or tried to, and that never came
    lost: int = 0
    #: lines that came, and were not whole
    malformed: int = 0


class Counting:
    def __init__(self) -> None:
        self._told: dict[tuple[str, int], Told] = {}
        self._lost = 0
        self._malformed = 0
        #: (worker, frontend's legend's listener) -> number of the next line
        self._next: dict[tuple[int, str], int] = {}

    def malformed(self) -> None:
        self._malformed += 1

    def missing(self, line: Line, legend: Legend, *, is_new: bool) -> None:
        """Counts the lines of the same frontend and worker that should have come before this one.

        A worker's threads may take the same number, and overtake each other: what is missing for a moment is taken back.
        """
        key = (line.worker, legend.listener_arn)
        expected = self._next.get(key, 0) if line.number else 0
        gap = line.number - expected
        if gap >= 0:
            self._next[key] = line.number + 1
            if len(self._next) > _MOST_WORKERS:
                self._next.pop(next(iter(self._next)))
        if is_new:
            self._lost += gap if gap >= 0 else -1

    def positions(self) -> dict[str, int]:
        return {f"{worker}|{arn}": number for (worker, arn), number in self._next.items()}

    def go_on_from(self, positions: dict[str, int]) -> None:
        for key, number in positions.items():
            worker, _, arn = key.partition("|")
            self._next[(int(worker), arn)] = number

    def add(self, line: Line, legend: Legend) -> None:
        if line.kind != REQUEST or legend.type == "network":
            return
        minute = line.ended_us // (1_000_000 * MINUTE_S) * MINUTE_S
        key = (legend.load_balancer_arn, minute)
        told = self._told.get(key)
        if told is None:
            told = self._told[key] = Told(legend.scope, legend.type, legend.id, minute)
        is_of_target = line.is_of_target
        if is_of_target and line.response_ms >= 0 and legend.access_logs is not None:
            group = legend.groups.get(line.backend.removesuffix(".open"))
            place = f"{group.arn if group else ''}|{line.target}:{line.target_port}"
            told.times.setdefault(place, Times()).add(line.response_ms / 1000.0)
        for name in counted(line, legend, is_of_target):
            told.counts[name] = told.counts.get(name, 0) + 1

    def taken(self, before: int) -> Tally:
        """Minutes that are over (began before `before`), and what was missed; they are forgotten here."""
        over = [key for key in self._told if key[1] < before]
        tally = Tally([self._told.pop(key) for key in over], max(0, self._lost), self._malformed)
        self._lost = min(0, self._lost)
        self._malformed = 0
        return tally


def counted(line: Line, legend: Legend, is_of_target: bool) -> list[str]:
    """Names of metrics that the line is one of."""
    found: list[str] = []
    if not is_of_target and line.status in (500, 502, 503, 504):
        found.append(f"HTTPCode_ELB_{line.status}_Count")
    if line.left_early:
        found.append("client_left")
    if legend.access_logs is None:
        return found
    executed = actions_executed(line, legend)
    if "fixed-response" in executed:
        found.append("HTTP_Fixed_Response_Count")
    elif executed == "redirect":
        found.append("HTTP_Redirect_Count")
    if request_type(line, legend) == "grpcs":
        found.append("GrpcRequestCount")
    if ":" in line.client:
        found.append("IPv6RequestCount")
    return found
