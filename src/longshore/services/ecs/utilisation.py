"""What tasks use of their machines, as their agents said last: kept in memory, for a few minutes, of running tasks only.

Agents publish every 20 seconds. Nothing of it is written down: it is worth nothing after a restart, and the next numbers are on their way.
CPU is in percent of the whole machine, whatever it has; memory in MiB. What an agent sends is read as far as it is well formed.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

#: older numbers are not shown, and go
FRESH_S = 120.0
#: tasks remembered; of more than that nothing is
MOST_KEPT = 200_000
_LONGEST_ARN = 512


class ContainerUse(msgspec.Struct, frozen=True, gc=False):
    name: str
    cpu_percent: float
    memory_mib: float


class TaskUse(msgspec.Struct, frozen=True, gc=False):
    at: float
    instance_arn: str
    containers: tuple[ContainerUse, ...]

    @property
    def cpu_percent(self) -> float:
        return sum(container.cpu_percent for container in self.containers)

    @property
    def memory_mib(self) -> float:
        return sum(container.memory_mib for container in self.containers)


class Utilisation:
    def __init__(self) -> None:
        self._tasks: dict[str, TaskUse] = {}
        self._swept_at = 0.0

    def note(self, instance_arn: str, message: dict[str, Any], now: float) -> None:
        """The content of a PublishMetricsRequest from the agent of an instance."""
        for task_arn, containers in uses_of(message).items():
            if len(self._tasks) < MOST_KEPT or task_arn in self._tasks:
                self._tasks[task_arn] = TaskUse(now, instance_arn, containers)
        if now - self._swept_at > FRESH_S:
            self._swept_at = now
            self._tasks = {arn: use for arn, use in self._tasks.items() if now - use.at <= FRESH_S}

    def of_task(self, task_arn: str, instance_arn: str, now: float) -> TaskUse | None:
        """None also for what another instance's agent said of the task."""
        use = self._tasks.get(task_arn)
        return use if use is not None and use.instance_arn == instance_arn and now - use.at <= FRESH_S else None


def uses_of(message: dict[str, Any]) -> dict[str, tuple[ContainerUse, ...]]:
    """task ARN -> what each of its containers uses, averages over the time since the message before."""
    found: dict[str, tuple[ContainerUse, ...]] = {}
    for task in _dictionaries(message.get("taskMetrics")):
        arn = task.get("taskArn")
        containers = tuple(
            ContainerUse(str(container.get("containerName"))[:255], cpu, memory)
            for container in _dictionaries(task.get("containerMetrics"))
            if (cpu := _average(container.get("cpuStatsSet"))) is not None
            and (memory := _average(container.get("memoryStatsSet"))) is not None
        )
        if isinstance(arn, str) and len(arn) <= _LONGEST_ARN and containers:
            found[arn] = containers
    return found


def _average(stats: object) -> float | None:
    if not isinstance(stats, dict):
        return None
    count, total = stats.get("sampleCount"), stats.get("sum")
    if not isinstance(count, int | float) or not isinstance(total, int | float) or count <= 0 or not math.isfinite(total):
        return None
    return max(0.0, round(total / count, 3))


def _dictionaries(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
