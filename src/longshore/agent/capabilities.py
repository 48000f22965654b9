"""What this agent can do, as the attributes by which task definitions ask for it. Pure, from what the engine and the machine say.

Only what would work is advertised: a task that needs more finds no instance ("missing an attribute required by your task")
rather than failing after it has started. Names: the agent protocol §1.1, and the agent that Amazon publishes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from longshore.runtime.base import EngineFacts

_COM = "com.amazonaws.ecs.capability"
_ECS = "ecs.capability"
#: the versions of the engine's API that attributes speak of
OLDEST_API, NEWEST_API = 17, 44
#: what this agent does whatever the engine
_ALWAYS = (
    f"{_COM}.privileged-container",
    f"{_COM}.logging-driver.none",
    f"{_COM}.ecr-auth",
    f"{_ECS}.ecr-endpoint",
    f"{_ECS}.container-health-check",
    f"{_ECS}.container-ordering",
    f"{_ECS}.container-restart-policy",
    f"{_ECS}.execution-role-ecr-pull",
    f"{_ECS}.full-sync",
    f"{_ECS}.network.container-port-range",
    f"{_ECS}.private-registry-authentication.secretsmanager",
    f"{_ECS}.secrets.asm.environment-variables",
    f"{_ECS}.secrets.asm.bootstrap.log-driver",
    f"{_ECS}.secrets.ssm.environment-variables",
    f"{_ECS}.secrets.ssm.bootstrap.log-driver",
)
_NVIDIA = Path("/proc/driver/nvidia/gpus")
_JOURNAL = Path("/run/systemd/journal/socket")
RANGE_ATTRIBUTE = "longshore.task-network"
#: the port at which load balancers ask which task is at another one
IDENTITY_ATTRIBUTE = "longshore.identity-port"


class MachineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine has."""

    gpus: tuple[str, ...] = ()
    has_journal: bool = False
    #: there is a pause program for its processors
    can_share: bool = True
    #: the range for tasks' addresses; "" for none
    task_range: str = ""
    #: tasks with an address of their own that fit
    places: int = 0
    #: containers reach this agent for their role's credentials, and those that share the machine's network can be told apart
    serves_roles: bool = False
    sees_processes: bool = False
    #: where load balancers may ask for tasks; 0: nowhere
    identity_port: int = 0


def capabilities(engine: EngineFacts, machine: MachineFacts) -> Iterator[str]:
    yield from _ALWAYS
    yield from (f"{_COM}.docker-remote-api.1.{minor}" for minor in range(OLDEST_API, min(engine.api_minor, NEWEST_API) + 1))
    for driver in sorted(engine.log_drivers - {"none"}):
        if driver != "journald" or machine.has_journal:
            yield f"{_COM}.logging-driver.{driver}"
    yield from (f"{_ECS}.docker-plugin.{driver}" for driver in sorted(engine.volume_drivers))
    yield from (f"{_COM}.{word}" for word in ("apparmor", "selinux") if word in engine.security)
    if engine.limits_groups:
        yield f"{_ECS}.task-cpu-mem-limit"
        yield f"{_ECS}.increased-task-cpu-limit"
    if machine.serves_roles:
        yield f"{_COM}.task-iam-role"
        if machine.sees_processes:
            yield f"{_COM}.task-iam-role-network-host"
    if machine.can_share:
        yield f"{_ECS}.pid-ipc-namespace-sharing"
        if machine.task_range:
            yield f"{_ECS}.task-eni"


def gpus(folder: Path = _NVIDIA) -> tuple[str, ...]:
    """Identifiers of the machine's NVIDIA GPUs, as their driver gives them (GPU-…)."""
    found = []
    for path in sorted(folder.glob("*/information")):
        for line in path.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "GPU UUID" and value.strip().startswith("GPU-") and "?" not in value:
                found.append(value.strip())
    return tuple(found)


def has_journal(socket: Path = _JOURNAL) -> bool:
    """Whether a journal listens where the engine's log driver looks for it."""
    return socket.exists()
