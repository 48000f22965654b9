"""What a container definition must be by itself, and what it looks like with every default filled in."""

from __future__ import annotations

import re

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.errors import ClientException
from longshore.services.ecs.task_sizes import LEAST_MEMORY_MIB

MOST_IMAGE = 255
MOST_PORTS = 100
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-.:/@#+]*")
_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
_HEALTH_RANGES = (("interval", 5, 300), ("timeout", 2, 60), ("retries", 1, 10), ("start_period", 0, 300))
_HEALTH_NAMES = {"start_period": "startPeriod"}


# ── defaults ────────────────────────────────────────────────────────────────────────────────────────────────────────


def normal_container(container: shapes.ContainerDefinition, network_mode: str | None) -> shapes.ContainerDefinition:
    """`container` as it is kept and shown."""
    return replace(
        container,
        cpu=container.cpu or 0,
        essential=True if container.essential is None else container.essential,
        port_mappings=tuple(_normal_port(port, network_mode) for port in container.port_mappings or ()),
        environment=container.environment or (),
        mount_points=container.mount_points or (),
        volumes_from=container.volumes_from or (),
        system_controls=container.system_controls or (),
        health_check=_normal_health_check(container.health_check),
        restart_policy=_normal_restart_policy(container.restart_policy),
        # clients send empty strings for what is not set
        hostname=container.hostname or None,
        user=container.user or None,
        working_directory=container.working_directory or None,
    )


def _normal_port(port: shapes.PortMapping, network_mode: str | None) -> shapes.PortMapping:
    protocol = port.protocol or "tcp"
    if port.container_port_range:
        return replace(port, protocol=protocol)
    same = network_mode in ("host", "awsvpc") and not port.host_port
    return replace(port, protocol=protocol, host_port=port.container_port if same else port.host_port or 0)


def _normal_health_check(check: shapes.HealthCheck | None) -> shapes.HealthCheck | None:
    if check is None:
        return None
    return replace(
        check,
        interval=30 if check.interval is None else check.interval,
        timeout=5 if check.timeout is None else check.timeout,
        retries=3 if check.retries is None else check.retries,
    )


def _normal_restart_policy(policy: shapes.ContainerRestartPolicy | None) -> shapes.ContainerRestartPolicy | None:
    if policy is None or not policy.enabled:
        return policy
    return replace(policy, restart_attempt_period=300 if policy.restart_attempt_period is None else policy.restart_attempt_period)


# ── rules ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_container(container: shapes.ContainerDefinition, definition: shapes.TaskDefinition) -> None:
    """`container` after `normal_container`. Raises ClientException."""
    _check_image(container)
    _check_amounts(container)
    _check_network(container, definition.network_mode)
    _check_ports(container, definition.network_mode)
    _check_times(container)
    _check_health(container)
    _check_restart_policy(container)
    _check_linux(container)
    for variable in container.environment or ():
        if not variable.name:
            raise ClientException(f"An environment variable of container '{container.name}' has no name.")
    names = {variable.name for variable in container.environment or ()}
    for secret in container.secrets or ():
        if secret.name in names:
            raise ClientException(
                "The secret name must be unique and not shared with any new or existing environment variables set on the container, "
                f"such as '{secret.name}'."
            )


def _check_image(container: shapes.ContainerDefinition) -> None:
    image = container.image or ""
    if not image:
        raise ClientException("Container.image should not be null or empty.")
    if len(image) > MOST_IMAGE:
        raise ClientException(f"Container.image repository should not be longer than {MOST_IMAGE} characters.")
    # placeholders such as <image> are taken by AWS's own console templates, but name no image
    if not _IMAGE.fullmatch(image):
        raise ClientException("Container.image contains invalid characters.")


def _check_amounts(container: shapes.ContainerDefinition) -> None:
    if (container.cpu or 0) < 0:
        raise ClientException(f"Invalid 'cpu' setting for container '{container.name}'. It must not be negative.")
    for word, amount in (("memory", container.memory), ("memoryReservation", container.memory_reservation)):
        if amount is not None and amount < LEAST_MEMORY_MIB:
            raise ClientException(f"Invalid '{word}' setting for container '{container.name}'. It must be at least {LEAST_MEMORY_MIB} MiB.")
    if container.memory is not None and container.memory_reservation is not None and container.memory <= container.memory_reservation:
        raise ClientException(
            f"Invalid setting for container '{container.name}'. 'memory' must be greater than 'memoryReservation' when both are specified."
        )


def _check_network(container: shapes.ContainerDefinition, mode: str | None) -> None:
    if mode not in (None, "bridge") and container.links:
        raise ClientException(f"Links are not supported when networkMode={mode}.")
    if mode != "awsvpc":
        return
    for word, value in (
        ("hostname", container.hostname),
        ("dnsServers", container.dns_servers),
        ("dnsSearchDomains", container.dns_search_domains),
        ("extraHosts", container.extra_hosts),
    ):
        if value:
            raise ClientException(f"{word} is not supported on container when networkMode=awsvpc.")


def _check_ports(container: shapes.ContainerDefinition, mode: str | None) -> None:
    ports = container.port_mappings or ()
    if len(ports) > MOST_PORTS:
        raise ClientException(f"Container '{container.name}' has more than {MOST_PORTS} port mappings.")
    if mode == "none" and ports:
        raise ClientException("Port mappings are not supported when networkMode=none.")
    taken: set[tuple[int, str]] = set()
    for port in ports:
        if port.container_port_range is not None:
            _check_range(container, port, mode)
            continue
        inside, outside = port.container_port, port.host_port or 0
        if inside is None or not 1 <= inside <= 65535:
            raise ClientException(f"Invalid 'containerPort' setting for container '{container.name}'.")
        if not 0 <= outside <= 65535:
            raise ClientException(f"Invalid 'hostPort' setting for container '{container.name}'.")
        if mode in ("host", "awsvpc") and outside != inside:
            word = "host" if mode == "host" else "awsvpc"
            raise ClientException(f"When networkMode={word}, the host ports and container ports in port mappings must match.")
        if outside and (outside, port.protocol or "tcp") in taken:
            raise ClientException(f"The host port {outside}/{port.protocol} is used more than once in container '{container.name}'.")
        taken.add((outside, port.protocol or "tcp"))


def _check_range(container: shapes.ContainerDefinition, port: shapes.PortMapping, mode: str | None) -> None:
    found = _RANGE.fullmatch(port.container_port_range or "")
    if found is None or not 1 <= int(found[1]) <= int(found[2]) <= 65535:
        raise ClientException(f"Invalid 'containerPortRange' setting for container '{container.name}'.")
    if int(found[2]) - int(found[1]) >= 100:
        raise ClientException(f"'containerPortRange' of container '{container.name}' has more than 100 ports.")
    if port.container_port is not None or port.host_port:
        raise ClientException("'containerPortRange' cannot be combined with 'containerPort' or 'hostPort'.")
    if mode not in (None, "bridge"):
        raise ClientException("'containerPortRange' is supported only when networkMode=bridge.")


def _check_times(container: shapes.ContainerDefinition) -> None:
    for word, value in (("startTimeout", container.start_timeout), ("stopTimeout", container.stop_timeout)):
        if value is not None and not 0 <= value <= 86_400:
            raise ClientException(f"Invalid '{word}' setting for container '{container.name}'.")


def _check_health(container: shapes.ContainerDefinition) -> None:
    check = container.health_check
    if check is None:
        return
    if not check.command or check.command[0] not in ("CMD", "CMD-SHELL", "NONE"):
        raise ClientException("The health check command must begin with CMD, CMD-SHELL or NONE.")
    if check.command[0] != "NONE" and len(check.command) < 2:
        raise ClientException(f"The health check of container '{container.name}' has no command.")
    for field, least, most in _HEALTH_RANGES:
        value = getattr(check, field)
        if value is not None and not least <= value <= most:
            word = _HEALTH_NAMES.get(field, field)
            raise ClientException(f"The {word} of the health check of container '{container.name}' must be between {least} and {most}.")


def _check_restart_policy(container: shapes.ContainerDefinition) -> None:
    policy = container.restart_policy
    if policy is None:
        return
    if len(policy.ignored_exit_codes or ()) > 50:
        raise ClientException(f"The restart policy of container '{container.name}' ignores more than 50 exit codes.")
    period = policy.restart_attempt_period
    if period is not None and not 60 <= period <= 1800:
        raise ClientException(f"The restartAttemptPeriod of container '{container.name}' must be between 60 and 1800.")


def _check_linux(container: shapes.ContainerDefinition) -> None:
    linux = container.linux_parameters
    if linux is None:
        return
    if linux.max_swap is not None and linux.max_swap < 0:
        raise ClientException(f"The maxSwap of container '{container.name}' must not be negative.")
    if linux.swappiness is not None:
        if linux.max_swap is None:
            raise ClientException(f"'swappiness' of container '{container.name}' requires 'maxSwap'.")
        if not 0 <= linux.swappiness <= 100:
            raise ClientException(f"The swappiness of container '{container.name}' must be between 0 and 100.")
    if linux.shared_memory_size is not None and linux.shared_memory_size < 1:
        raise ClientException(f"The sharedMemorySize of container '{container.name}' must be at least 1.")
    for tmpfs in linux.tmpfs or ():
        if tmpfs.size < 1:
            raise ClientException(f"The size of a tmpfs of container '{container.name}' must be at least 1.")
    for device in linux.devices or ():
        if not device.host_path:
            raise ClientException(f"A device of container '{container.name}' has no host path.")
