"""What the control socket brings: messages of the ECS agent protocol as they stand on the wire.

Only the members this agent reads are declared; others are ignored, as the protocol wants it. Shapes and meanings: the model
of the agent communication service that amazon-ecs-agent carries (ecsacs), the agent protocol §2.4 and §3.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class _Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Members are lower camel case; absent and default are the same."""


class RoleCredentials(_Wire, frozen=True, kw_only=True):
    credentials_id: str
    role_arn: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""
    #: passed through as it came (RFC 3339)
    expiration: str = ""

    def __repr__(self) -> str:
        return f"RoleCredentials({self.credentials_id}, {self.role_arn})"


class PortMapping(_Wire, frozen=True, kw_only=True):
    container_port: int | None = None
    host_port: int | None = None
    protocol: str | None = None
    #: "8000-8010", in place of a single container port
    container_port_range: str | None = None


class MountPoint(_Wire, frozen=True, kw_only=True):
    source_volume: str
    container_path: str
    read_only: bool | None = None


class VolumeFrom(_Wire, frozen=True, kw_only=True):
    source_container: str
    read_only: bool | None = None


class DependsOn(_Wire, frozen=True, kw_only=True):
    container_name: str
    condition: Literal["START", "COMPLETE", "SUCCESS", "HEALTHY"]


class RestartPolicy(_Wire, frozen=True, kw_only=True):
    enabled: bool = False
    ignored_exit_codes: tuple[int, ...] | None = None
    #: seconds it must have run before it is started again
    restart_attempt_period: int | None = None


class EcrAuth(_Wire, frozen=True, kw_only=True):
    registry_id: str = ""
    region: str = ""
    endpoint_override: str = ""
    use_execution_role: bool = False


class AsmAuth(_Wire, frozen=True, kw_only=True):
    """A secret with {"username": …, "password": …}."""

    credentials_parameter: str = ""
    region: str = ""


class RegistryAuthentication(_Wire, frozen=True, kw_only=True):
    type: str = ""
    ecr_auth_data: EcrAuth | None = None
    asm_auth_data: AsmAuth | None = None


class Secret(_Wire, frozen=True, kw_only=True):
    """Something to be fetched with the execution role before the container is created."""

    name: str
    #: an ARN or, of a parameter, a name; a secret's may end in :json-key:version-stage:version-id
    value_from: str
    region: str = ""
    provider: Literal["asm", "ssm"] = "ssm"
    type: str = "ENVIRONMENT_VARIABLE"
    #: an option of its log driver, with LOG_DRIVER
    target: str = "CONTAINER"


class DockerConfig(_Wire, frozen=True, kw_only=True):
    """JSON texts of Docker Engine's Config and HostConfig, which are laid over what the other members say."""

    config: str | None = None
    host_config: str | None = None


class Container(_Wire, frozen=True, kw_only=True):
    name: str
    image: str
    container_arn: str = ""
    #: CPU units, 1024 to a CPU
    cpu: int | None = None
    #: MiB, a hard limit; 0 is none
    memory: int | None = None
    essential: bool = True
    command: tuple[str, ...] | None = None
    entry_point: tuple[str, ...] | None = None
    environment: dict[str, str] | None = None
    environment_files: tuple[msgspec.Raw, ...] | None = None
    port_mappings: tuple[PortMapping, ...] | None = None
    mount_points: tuple[MountPoint, ...] | None = None
    volumes_from: tuple[VolumeFrom, ...] | None = None
    #: "container:alias"
    links: tuple[str, ...] | None = None
    #: JSON text, {"command": […]} at most
    overrides: str | None = None
    depends_on: tuple[DependsOn, ...] | None = None
    #: seconds
    start_timeout: int | None = None
    stop_timeout: int | None = None
    restart_policy: RestartPolicy | None = None
    health_check_type: str | None = None
    secrets: tuple[Secret, ...] | None = None
    firelens_configuration: msgspec.Raw | None = None
    registry_authentication: RegistryAuthentication | None = None
    docker_config: DockerConfig | None = None


class HostVolume(_Wire, frozen=True, kw_only=True):
    source_path: str | None = None


class DockerVolume(_Wire, frozen=True, kw_only=True):
    scope: str = "task"
    autoprovision: bool = False
    driver: str = "local"
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class Volume(_Wire, frozen=True, kw_only=True):
    name: str
    type: str = "host"
    host: HostVolume | None = None
    docker_volume_configuration: DockerVolume | None = None


class PrivateAddress(_Wire, frozen=True, kw_only=True):
    private_address: str
    primary: bool = True


class NetworkInterface(_Wire, frozen=True, kw_only=True):
    ec2_id: str = ""
    mac_address: str = ""
    ipv4_addresses: tuple[PrivateAddress, ...] = ()
    #: a.b.c.d/length
    subnet_gateway_ipv4_address: str = ""
    attachment_arn: str = ""
    private_dns_name: str = ""


class Association(_Wire, frozen=True, kw_only=True):
    """A device that containers of the task are given."""

    name: str
    type: str = ""
    containers: tuple[str, ...] = ()


class Task(_Wire, frozen=True, kw_only=True):
    arn: str
    desired_status: Literal["RUNNING", "STOPPED"]
    task_cluster_arn: str = ""
    family: str = ""
    version: str = ""
    containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] | None = None
    #: vCPUs
    cpu: float | None = None
    #: MiB
    memory: int | None = None
    network_mode: str | None = None
    #: EC2 or EXTERNAL, for those who ask
    launch_type: str | None = None
    pid_mode: str | None = None
    ipc_mode: str | None = None
    role_credentials: RoleCredentials | None = None
    execution_role_credentials: RoleCredentials | None = None
    proxy_configuration: msgspec.Raw | None = None
    elastic_network_interfaces: tuple[NetworkInterface, ...] | None = None
    associations: tuple[Association, ...] | None = None
    service_name: str | None = None
    group: str | None = None


class TaskHead(_Wire, frozen=True, kw_only=True):
    """As much of a task as is needed to say that the rest of it makes no sense."""

    arn: str
    desired_status: str = ""


class Frame(msgspec.Struct, frozen=True):
    """Every message both ways."""

    type: str
    message: msgspec.Raw


class Payload(_Wire, frozen=True, kw_only=True):
    message_id: str = ""
    cluster_arn: str = ""
    container_instance_arn: str = ""
    seq_num: int = -1
    tasks: tuple[msgspec.Raw, ...] | None = None


class ManifestTask(_Wire, frozen=True, kw_only=True):
    task_arn: str
    task_cluster_arn: str = ""
    desired_status: str = ""


class TaskManifest(_Wire, frozen=True, kw_only=True):
    message_id: str = ""
    cluster_arn: str = ""
    container_instance_arn: str = ""
    timeline: int = -1
    tasks: tuple[ManifestTask, ...] | None = None


class TaskStopVerificationAck(_Wire, frozen=True, kw_only=True):
    message_id: str = ""
    stop_tasks: tuple[ManifestTask, ...] | None = None


class IamRoleCredentials(_Wire, frozen=True, kw_only=True):
    message_id: str = ""
    task_arn: str = ""
    role_type: str = ""
    role_credentials: RoleCredentials


class Heartbeat(_Wire, frozen=True, kw_only=True):
    message_id: str = ""
    healthy: bool = True


class Update(_Wire, frozen=True, kw_only=True):
    """StageUpdateMessage and PerformUpdateMessage."""

    message_id: str = ""
    cluster_arn: str = ""
    container_instance_arn: str = ""


class Attach(_Wire, frozen=True, kw_only=True):
    """The messages about network interfaces and volumes: acknowledged; nothing is attached."""

    message_id: str = ""
    cluster_arn: str = ""
    container_instance_arn: str = ""
