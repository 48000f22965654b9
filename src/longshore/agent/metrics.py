"""What the containers use, as the telemetry socket publishes it. Pure.

CPU is given in percent of the whole machine, memory in MiB, the rest in bytes; every set holds one sample of the interval
since the last publication (agent protocol §4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from longshore.agent.task import TaskJob
from longshore.runtime.base import Usage

MIB = 1024 * 1024
#: tasks in one message
MOST_TASKS = 10

_HEALTH = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY"}


def task_metrics(job: TaskJob, before: Mapping[str, Usage], now: Mapping[str, Usage]) -> dict[str, Any] | None:
    """Of containers that were there at both times, by container id; None when there is none."""
    containers = []
    for container in job.task.containers:
        container_id = job.container_id(container.name)
        earlier, later = before.get(container_id), now.get(container_id)
        if earlier is not None and later is not None and later.at > earlier.at:
            containers.append({"containerName": container.name, **_arn(container.container_arn), **_sets(earlier, later)})
    if not containers:
        return None
    return {
        "taskArn": job.arn,
        "clusterArn": job.task.task_cluster_arn,
        "taskDefinitionFamily": job.task.family,
        "taskDefinitionVersion": job.task.version,
        "containerMetrics": containers,
    }


def cpu_percent(earlier: Usage, later: Usage) -> float:
    """0…100 of all CPUs together."""
    wall_ns = (later.at - earlier.at) * 1e9 * max(1, later.cpus)
    return min(100.0, max(0.0, (later.cpu_ns - earlier.cpu_ns) / wall_ns * 100.0))


def metrics_messages(
    metadata: Mapping[str, Any], message_ids: Sequence[str], tasks: Sequence[dict[str, Any]], at: float
) -> list[dict[str, Any]]:
    """The messages of one publication, the last of them marked; `message_ids` has one for each `MOST_TASKS` tasks, at least one."""
    if not tasks:
        return [{"metadata": {**metadata, "messageId": message_ids[0], "idle": True, "fin": True}, "timestamp": at}]
    chunks = [tasks[start : start + MOST_TASKS] for start in range(0, len(tasks), MOST_TASKS)]
    return [
        {
            "metadata": {**metadata, "messageId": message_id, "idle": False, "fin": number == len(chunks)},
            "taskMetrics": chunk,
            "timestamp": at,
        }
        for number, (message_id, chunk) in enumerate(zip(message_ids, chunks, strict=False), 1)
    ]


def task_health(job: TaskJob) -> dict[str, Any] | None:
    """None when no container of it is checked."""
    containers = [
        {
            "containerName": part.name,
            "healthStatus": _HEALTH.get(job.seen[part.name].health, "UNKNOWN"),
            "statusSince": job.health_since.get(part.name) or job.seen[part.name].started_at or 0.0,
        }
        for part in job.parts
        if part.has_health_check
    ]
    if not containers:
        return None
    return {
        "taskArn": job.arn,
        "taskDefinitionFamily": job.task.family,
        "taskDefinitionVersion": job.task.version,
        "containers": containers,
    }


def _sets(earlier: Usage, later: Usage) -> dict[str, Any]:
    seconds = later.at - earlier.at
    received, sent = later.rx_bytes - earlier.rx_bytes, later.tx_bytes - earlier.tx_bytes
    return {
        "cpuStatsSet": _one(cpu_percent(earlier, later)),
        "memoryStatsSet": _one(later.memory_bytes / MIB),
        "networkStatsSet": {
            "rxBytes": _one_long(received),
            "txBytes": _one_long(sent),
            "rxBytesPerSecond": _one(max(0.0, received / seconds)),
            "txBytesPerSecond": _one(max(0.0, sent / seconds)),
        },
        "storageStatsSet": {
            "readSizeBytes": _one_long(later.read_bytes - earlier.read_bytes),
            "writeSizeBytes": _one_long(later.written_bytes - earlier.written_bytes),
        },
    }


def _one(value: float) -> dict[str, float | int]:
    return {"min": value, "max": value, "sampleCount": 1, "sum": value}


def _one_long(value: int) -> dict[str, int]:
    amount = max(0, value)
    return {"min": amount, "max": amount, "sampleCount": 1, "sum": amount}


def _arn(arn: str) -> dict[str, str]:
    return {"containerArn": arn} if arn else {}
