"""Container definitions in Docker Engine's words: the `Config` and `HostConfig` that go with a payload. Pure.

The table is Amazon ECS's own mapping of task definition parameters to the Docker Remote API:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html
"""

from __future__ import annotations

from typing import Any

from longshore.aws.shapes import ecs as shapes

MIB = 1024 * 1024
SECOND_NS = 1_000_000_000


def config_of(container: shapes.ContainerDefinition) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if container.user:
        config["User"] = container.user
    if container.working_directory:
        config["WorkingDir"] = container.working_directory
    if container.hostname:
        config["Hostname"] = container.hostname
    if container.disable_networking:
        config["NetworkDisabled"] = True
    if container.interactive:
        config["OpenStdin"] = True
    if container.pseudo_terminal:
        config["Tty"] = True
    if container.docker_labels:
        config["Labels"] = dict(container.docker_labels)
    if container.health_check is not None:
        config["Healthcheck"] = _health_check(container.health_check)
    return config


def _health_check(check: shapes.HealthCheck) -> dict[str, Any]:
    """ECS's defaults are Docker's but for the start period, which is off."""
    wanted: dict[str, Any] = {
        "Test": list(check.command),
        "Interval": (check.interval or 30) * SECOND_NS,
        "Timeout": (check.timeout or 5) * SECOND_NS,
        "Retries": check.retries or 3,
    }
    if check.start_period:
        wanted["StartPeriod"] = check.start_period * SECOND_NS
    return wanted


def host_config_of(
    container: shapes.ContainerDefinition, network_mode: str, memory: int | None, reservation: int | None, task_id: str
) -> dict[str, Any]:
    """`memory` and `reservation` in MiB, overrides included."""
    host: dict[str, Any] = {"NetworkMode": network_mode, "CapAdd": [], "CapDrop": []}
    if reservation:
        host["MemoryReservation"] = reservation * MIB
    if container.privileged:
        host["Privileged"] = True
    if container.readonly_root_filesystem:
        host["ReadonlyRootfs"] = True
    if container.dns_servers:
        host["Dns"] = list(container.dns_servers)
    if container.dns_search_domains:
        host["DnsSearch"] = list(container.dns_search_domains)
    if container.extra_hosts:
        host["ExtraHosts"] = [f"{entry.hostname}:{entry.ip_address}" for entry in container.extra_hosts]
    if container.docker_security_options:
        host["SecurityOpt"] = list(container.docker_security_options)
    if container.ulimits:
        host["Ulimits"] = [{"Name": limit.name, "Soft": limit.soft_limit, "Hard": limit.hard_limit} for limit in container.ulimits]
    if container.system_controls:
        host["Sysctls"] = {control.namespace or "": control.value or "" for control in container.system_controls}
    host["LogConfig"] = _log_config(container, task_id)
    if container.linux_parameters is not None:
        host.update(_linux(container.linux_parameters, memory))
    return host


def _log_config(container: shapes.ContainerDefinition, task_id: str) -> dict[str, Any]:
    """Docker knows no stream prefix: ECS makes the stream's name of it."""
    log = container.log_configuration
    if log is None:
        return {"Type": "json-file", "Config": {}}
    options = dict(log.options or {})
    prefix = options.pop("awslogs-stream-prefix", "") if log.log_driver == "awslogs" else ""
    if prefix:
        options["awslogs-stream"] = f"{prefix}/{container.name}/{task_id}"
    return {"Type": log.log_driver, "Config": options}


def _linux(linux: shapes.LinuxParameters, memory: int | None) -> dict[str, Any]:
    host: dict[str, Any] = {}
    if linux.capabilities is not None:
        host["CapAdd"] = list(linux.capabilities.add or ())
        host["CapDrop"] = list(linux.capabilities.drop or ())
    if linux.devices:
        host["Devices"] = [
            {
                "PathOnHost": device.host_path,
                "PathInContainer": device.container_path or device.host_path,
                "CgroupPermissions": "".join(permission[0] for permission in device.permissions or ("read", "write", "mknod")),
            }
            for device in linux.devices
        ]
    if linux.init_process_enabled:
        host["Init"] = True
    if linux.shared_memory_size:
        host["ShmSize"] = linux.shared_memory_size * MIB
    if linux.tmpfs:
        host["Tmpfs"] = {mount.container_path: ",".join([f"size={mount.size}m", *(mount.mount_options or ())]) for mount in linux.tmpfs}
    if linux.max_swap is not None and memory:
        host["MemorySwap"] = (memory + linux.max_swap) * MIB
        if linux.swappiness is not None:
            host["MemorySwappiness"] = linux.swappiness
    return host
