"""Whether this agent can run a task at all, and what is asked of each of its containers. Pure.

A payload that makes no sense, or that asks for what this agent does not do, is refused as a whole and by name before
anything is started; the words are the stock agent's where it has any.
"""

from __future__ import annotations

import msgspec

from longshore.agent import messages
from longshore.agent.lifecycle import Condition, Dependency, DependencyCycle, Part, Restarts, UnknownDependency, check_order

DEFAULT_STOP_TIMEOUT_S = 30
DEFAULT_RESTART_PERIOD_S = 60.0

_VOLUME_TYPES = ("host", "docker")
_KNOWN_VOLUME_TYPES = (*_VOLUME_TYPES, "efs", "fsxWindowsFileServer", "ebs", "s3files")
_NETWORK_MODES = ("bridge", "host", "none", "default", "awsvpc")


class Refused(Exception):
    """A task that is not started; the text is the reason reported for it."""

    def __init__(self, arn: str, reason: str) -> None:
        super().__init__(reason)
        self.arn = arn
        self.reason = reason


class Unreadable(Exception):
    """A task that does not even say which one it is."""


def read_task(raw: bytes) -> messages.Task:
    """The task of a payload. Raises Refused, or Unreadable when it has no ARN to report about."""
    try:
        task = msgspec.json.decode(raw, type=messages.Task)
    except msgspec.MsgspecError as error:
        try:
            head = msgspec.json.decode(raw, type=messages.TaskHead)
        except msgspec.MsgspecError:
            raise Unreadable(str(error)) from error
        raise Refused(head.arn, _unrecognised(str(error))) from error
    if task.desired_status == "RUNNING":
        _check(task)
    return task


def parts(task: messages.Task) -> tuple[Part, ...]:
    """What the lifecycle needs to know of each container. Raises Refused when they can never all start."""
    made = tuple(_part(container) for container in task.containers)
    try:
        check_order(made)
    except (DependencyCycle, UnknownDependency) as error:
        raise Refused(task.arn, f"TaskDependencyError: {error}") from error
    return made


def overridden_command(container: messages.Container) -> tuple[str, ...] | None:
    """The command that stands in `overrides`; None when there is none. Raises ValueError for anything else in there."""
    if not container.overrides:
        return None
    try:
        content = msgspec.json.decode(container.overrides, type=dict[str, list[str] | None])
    except msgspec.MsgspecError as error:
        raise ValueError(f"container {container.name}: overrides: {error}") from error
    unknown = sorted(content.keys() - {"command"})
    if unknown:
        raise ValueError(f'container {container.name}: unrecognized override "{unknown[0]}"')
    command = content.get("command")
    return tuple(command) if command is not None else None


def _part(container: messages.Container) -> Part:
    policy = container.restart_policy
    restarts = None
    if policy is not None and policy.enabled:
        period = policy.restart_attempt_period
        restarts = Restarts(frozenset(policy.ignored_exit_codes or ()), DEFAULT_RESTART_PERIOD_S if period is None else float(period))
    return Part(
        name=container.name,
        essential=container.essential,
        dependencies=_dependencies(container),
        start_timeout_s=container.start_timeout or None,
        stop_timeout_s=DEFAULT_STOP_TIMEOUT_S if container.stop_timeout is None else container.stop_timeout,
        restarts=restarts,
        has_health_check=container.health_check_type == "docker",
    )


def _dependencies(container: messages.Container) -> tuple[Dependency, ...]:
    """The ones declared, and those that links and shared volumes bring along."""
    declared = [Dependency(wait.container_name, Condition(wait.condition)) for wait in container.depends_on or ()]
    linked = [Dependency(link.partition(":")[0], Condition.START) for link in container.links or ()]
    shared = [Dependency(volume.source_container, Condition.CREATE) for volume in container.volumes_from or ()]
    return tuple(dict.fromkeys([*declared, *linked, *shared]))


def _check(task: messages.Task) -> None:
    """Raises Refused."""
    for problem in _problems(task):
        raise Refused(task.arn, _unrecognised(problem))
    if task.network_mode == "awsvpc" and not any(given.ipv4_addresses for given in task.elastic_network_interfaces or ()):
        raise Refused(task.arn, "ResourceInitializationError: the task is to have an address of its own and was given none")
    for missing in _not_done(task):
        raise Refused(task.arn, f"ResourceInitializationError: {missing}, which this agent does not support")


def _problems(task: messages.Task) -> list[str]:
    found = []
    if not task.containers:
        found.append("the task has no containers")
    names = [container.name for container in task.containers]
    if len(set(names)) != len(names):
        found.append("two containers have the same name")
    volumes = {volume.name for volume in task.volumes or ()}
    for volume in task.volumes or ():
        if volume.type not in _KNOWN_VOLUME_TYPES:
            found.append(f'unrecognized volume type: "{volume.type}"')
        elif volume.type == "docker" and volume.docker_volume_configuration is None:
            found.append("invalid volume: empty volume configuration")
    for container in task.containers:
        found.extend(_container_problems(container, volumes))
    return found


def _container_problems(container: messages.Container, volumes: set[str]) -> list[str]:
    found = [
        f"container {container.name} mounts the volume {mount.source_volume}, which the task does not have"
        for mount in container.mount_points or ()
        if mount.source_volume not in volumes
    ]
    try:
        for mapping in container.port_mappings or ():
            range_of(mapping.container_port_range or "0-0")
        overridden_command(container)
        config, _ = docker_config(container)
    except ValueError as error:
        return [*found, str(error)]
    if container.health_check_type == "docker" and not config.get("Healthcheck"):
        found.append(f"container {container.name}: health check type docker without a health check")
    return found


def range_of(text: str) -> tuple[int, int]:
    """(first, last) of "8000-8010". Raises ValueError."""
    first, _, last = text.partition("-")
    if not (first.isascii() and first.isdigit() and last.isascii() and last.isdigit() and int(first) <= int(last) <= 65535):
        raise ValueError(f'"{text}" is not a range of ports')
    return int(first), int(last)


def docker_config(container: messages.Container) -> tuple[dict[str, object], dict[str, object]]:
    """Config and HostConfig as the payload lays them over everything else. Raises ValueError."""
    given = container.docker_config or messages.DockerConfig()
    try:
        config = msgspec.json.decode(given.config or "{}", type=dict[str, object] | None)
        host_config = msgspec.json.decode(given.host_config or "{}", type=dict[str, object] | None)
    except msgspec.MsgspecError as error:
        raise ValueError(f"container {container.name}: docker config: {error}") from error
    return config or {}, host_config or {}


def _not_done(task: messages.Task) -> list[str]:
    found = []
    mode = task.network_mode or "bridge"
    if mode not in _NETWORK_MODES:
        found.append(f"the task wants the network mode {mode}")
    if task.proxy_configuration is not None:
        found.append("the task wants a proxy")
    found.extend(f"the volume {volume.name} is of type {volume.type}" for volume in task.volumes or () if volume.type not in _VOLUME_TYPES)
    for container in task.containers:
        if container.environment_files:
            found.append(f"the container {container.name} has environment files")
        if container.firelens_configuration is not None:
            found.append(f"the container {container.name} routes logs with FireLens")
        authentication = container.registry_authentication
        if authentication is not None and authentication.type not in ("", "ecr", "asm"):
            found.append(f"the container {container.name} wants registry authentication of type {authentication.type}")
    return found


def _unrecognised(detail: str) -> str:
    """The name is spelled as the stock agent spells it."""
    return f"UnrecogniedTaskError: Error loading task - {detail}"
