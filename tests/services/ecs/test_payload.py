"""A task as agents are told of it: the fields and types that the ECS agent parses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.model import Attachment, Task, TaskDefinition, TaskSpec
from longshore.services.ecs.new_task import new_task, reservation_of
from longshore.services.ecs.overrides import normal
from longshore.services.ecs.payload import for_another, is_repeatable, task_payload
from longshore.services.ecs.task_definition_rules import checked
from tests.services.ecs.conftest import SITE

_CAPTURES = Path(__file__).resolve().parents[4] / "shared" / "data" / "agent-captures"
GATEWAY = "http://10.0.0.1:4566"
TASK = f"arn:aws:ecs:us-east-1:000000000000:task/default/{'1' * 32}"


INTERFACE = Attachment(id="a-1", eni_id="eni-1", mac_address="0e:1", private_address="10.1.0.7", gateway="10.1.0.1/24")


def payload(container: dict[str, Any] | None = None, overrides: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    only = {"name": "app", "image": "busybox", "memory": 64, **(container or {})}
    document = {"family": "web", "containerDefinitions": [only], **members}
    definition = checked(msgspec.convert(document, shapes.RegisterTaskDefinitionRequest))
    kept = TaskDefinition(arn="arn:aws:ecs:us-east-1:000000000000:task-definition/web:3", family="web", revision=3, definition=definition)
    changed = normal(msgspec.convert(overrides, shapes.TaskOverride)) if overrides else None
    spec = TaskSpec(task_definition_arn=kept.arn, group="family:web", created_at=0.0, overrides=changed)
    return task_payload(new_task(TASK, "arn:aws:ecs:us-east-1:000000000000:cluster/default", kept, spec, ["id"]), kept, SITE, GATEWAY)


def config(told: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    docker = told["containers"][0]["dockerConfig"]
    return json.loads(docker["config"]), json.loads(docker["hostConfig"])


@pytest.mark.skipif(not _CAPTURES.is_dir(), reason="the captures of the agent are not beside this checkout")
def test_every_field_that_the_stock_agent_was_once_told_has_the_same_type() -> None:
    body = json.loads((_CAPTURES / "0043-acs-out-PayloadMessage.json").read_bytes())["data"]["tasks"][0]
    told = json.loads(msgspec.json.encode(payload()))
    assert_alike(body, told, "task")


def assert_alike(example: Any, value: Any, path: str) -> None:
    assert type(example) is type(value), path
    if isinstance(example, dict) and not path.endswith("environment"):
        for name, member in example.items():
            assert name in value, f"{path}.{name}"
            assert_alike(member, value[name], f"{path}.{name}")
    elif isinstance(example, list) and example and value:
        assert_alike(example[0], value[0], f"{path}[]")


def test_sizes_are_vcpus_for_the_task_and_units_for_containers() -> None:
    told = payload({"cpu": 128}, cpu="256", memory="512")
    assert (told["cpu"], told["memory"], told["containers"][0]["cpu"], told["containers"][0]["memory"]) == (0.25, 512, 128, 64)
    assert told["version"] == "3"
    assert "cpu" not in payload()


def test_overrides_are_laid_over_before_the_agent_hears_of_them() -> None:
    override = {"name": "app", "command": ["b"], "environment": [{"name": "B", "value": "2"}], "memory": 32, "cpu": 7}
    told = payload(
        {"command": ["a"], "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]},
        {"containerOverrides": [override], "cpu": "0.5 vCPU"},
    )
    (container,) = told["containers"]
    assert (container["command"], container["environment"]) == (["b"], {"A": "1", "B": "2"})
    assert (container["memory"], container["cpu"], told["cpu"]) == (32, 7, 0.5)
    assert (told["overrides"], container["overrides"]) == ("{}", "{}")


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("123456789012.dkr.ecr.eu-west-1.localhost:4566/web:1", ("123456789012", "eu-west-1")),
        ("127.0.0.1:4566/web", ("000000000000", "us-east-1")),
        ("localhost:4566/team/web", ("000000000000", "us-east-1")),
        ("127.0.0.1:5000/web", None),
        ("busybox", None),
        ("evil.example/123456789012.dkr.ecr.eu-west-1.localhost:4566/web", None),
    ],
)
def test_agents_sign_in_for_images_of_our_own_registry_only(image: str, registry: tuple[str, str] | None) -> None:
    (container,) = payload({"image": image})["containers"]
    told = container.get("registryAuthentication")
    assert (told is None) == (registry is None)
    if registry is not None:
        assert (told["type"], told["ecrAuthData"]["registryId"], told["ecrAuthData"]["region"]) == ("ecr", *registry)
        assert told["ecrAuthData"]["endpointOverride"] == GATEWAY, "the stock agent would ask Amazon"


def test_docker_is_told_what_the_protocol_has_no_fields_for() -> None:
    container = {
        "memory": 64,
        "memoryReservation": 32,
        "user": "nobody",
        "hostname": "h",
        "privileged": True,
        "ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 2}],
        "extraHosts": [{"hostname": "db", "ipAddress": "10.0.0.1"}],
        "healthCheck": {"command": ["CMD-SHELL", "true"], "startPeriod": 7},
        "linuxParameters": {
            "maxSwap": 16,
            "sharedMemorySize": 8,
            "tmpfs": [{"containerPath": "/t", "size": 4, "mountOptions": ["ro"]}],
            "devices": [{"hostPath": "/dev/null", "permissions": ["read", "mknod"]}],
            "capabilities": {"add": ["NET_ADMIN"]},
        },
    }
    told = payload(container)
    inside, outside = config(told)
    mib, second = 1024 * 1024, 1_000_000_000
    assert inside["Healthcheck"] == {
        "Test": ["CMD-SHELL", "true"],
        "Interval": 30 * second,
        "Timeout": 5 * second,
        "Retries": 3,
        "StartPeriod": 7 * second,
    }
    assert (inside["User"], inside["Hostname"], told["containers"][0]["healthCheckType"]) == ("nobody", "h", "docker")
    assert (outside["MemoryReservation"], outside["MemorySwap"], outside["ShmSize"]) == (32 * mib, 80 * mib, 8 * mib)
    assert outside["Ulimits"] == [{"Name": "nofile", "Soft": 1, "Hard": 2}]
    assert outside["Tmpfs"] == {"/t": "size=4m,ro"}
    assert outside["Devices"] == [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/null", "CgroupPermissions": "rm"}]
    assert (outside["Privileged"], outside["CapAdd"], outside["NetworkMode"]) == (True, ["NET_ADMIN"], "bridge")
    assert outside["ExtraHosts"] == ["db:10.0.0.1"]


def test_an_interface_is_told_as_the_protocol_has_it() -> None:
    made, kept = _placed("awsvpc", attachment=INTERFACE)
    (interface,) = task_payload(made, kept, SITE, GATEWAY)["elasticNetworkInterfaces"]
    assert interface["attachmentArn"] == "arn:aws:ecs:us-east-1:000000000000:attachment/a-1"
    assert (interface["ec2Id"], interface["macAddress"], interface["subnetGatewayIpv4Address"]) == ("eni-1", "0e:1", "10.1.0.1/24")
    assert interface["ipv4Addresses"] == [{"primary": True, "privateAddress": "10.1.0.7"}]
    assert interface["privateDnsName"] == "ip-10-1-0-7.ec2.internal"
    assert not is_repeatable(made, kept), "each task has its own"


def test_gpus_are_handed_out_in_the_order_of_the_containers() -> None:
    made, kept = _placed(None, gpus=("g1", "g2", "g3"), counts=(2, 1))
    told = task_payload(made, kept, SITE, GATEWAY)["associations"]
    assert [(one["name"], one["type"], one["containers"]) for one in told] == [
        ("g1", "gpu", ["c0"]),
        ("g2", "gpu", ["c0"]),
        ("g3", "gpu", ["c1"]),
    ]
    assert not is_repeatable(made, kept)


def _placed(
    mode: str | None, *, attachment: Attachment | None = None, gpus: tuple[str, ...] = (), counts: tuple[int, ...] = (0,)
) -> tuple[Task, TaskDefinition]:
    containers = [
        {"name": f"c{at}", "image": "busybox", "memory": 64}
        | ({"resourceRequirements": [{"type": "GPU", "value": str(count)}]} if count else {})
        for at, count in enumerate(counts)
    ]
    document = {"family": "web", "containerDefinitions": containers} | ({"networkMode": mode} if mode else {})
    definition = checked(msgspec.convert(document, shapes.RegisterTaskDefinitionRequest))
    kept = TaskDefinition(arn="arn:aws:ecs:us-east-1:000000000000:task-definition/web:3", family="web", revision=3, definition=definition)
    spec = TaskSpec(task_definition_arn=kept.arn, group="family:web", created_at=0.0)
    task = new_task(TASK, "arn:aws:ecs:us-east-1:000000000000:cluster/default", kept, spec, ["a", "b"])
    assert task.spec.reservation.gpus == sum(counts) and task.spec.reservation.enis == (mode == "awsvpc")
    status = msgspec.structs.replace(task.status, attachments=(attachment,) if attachment is not None else ())
    return msgspec.structs.replace(task, gpu_ids=gpus, status=status), kept


def test_a_stream_prefix_becomes_the_name_of_the_stream() -> None:
    options = {"awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web"}
    _, outside = config(payload({"logConfiguration": {"logDriver": "awslogs", "options": options}}))
    assert outside["LogConfig"] == {
        "Type": "awslogs",
        "Config": {"awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream": f"web/app/{'1' * 32}"},
    }


def test_volumes_ports_and_dependencies_are_told_as_the_agent_names_them() -> None:
    told = payload(
        {
            "mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}],
            "portMappings": [{"containerPort": 80}, {"containerPortRange": "90-92", "protocol": "udp"}],
        },
        volumes=[{"name": "v"}, {"name": "h", "host": {"sourcePath": "/srv"}}, {"name": "d", "dockerVolumeConfiguration": {}}],
    )
    assert [volume["type"] for volume in told["volumes"]] == ["host", "host", "docker"]
    assert [volume.get("host") for volume in told["volumes"][:2]] == [{}, {"sourcePath": "/srv"}]
    ports = told["containers"][0]["portMappings"]
    assert ports[0] == {"containerPort": 80, "hostPort": 0, "protocol": "tcp"}
    assert ports[1]["containerPortRange"] == "90-92"


def test_what_a_task_reserves_follows_from_its_definition() -> None:
    def reserved(*containers: dict[str, Any], **members: Any) -> tuple[int, int, list[int]]:
        named = [{"name": f"c{n}", "image": "busybox", **one} for n, one in enumerate(containers)]
        document = {"family": "web", "containerDefinitions": named, **members}
        found = reservation_of(checked(msgspec.convert(document, shapes.RegisterTaskDefinitionRequest)))
        return found.cpu, found.memory_mib, [port.port for port in found.ports]

    one = {"cpu": 10, "memory": 64, "memoryReservation": 32, "portMappings": [{"containerPort": 80, "hostPort": 8080}]}
    two = {"cpu": 20, "memory": 64, "portMappings": [{"containerPort": 81}]}
    assert reserved(one, two) == (30, 96, [8080])
    assert reserved(one, two, cpu="256", memory="512") == (256, 512, [8080])
    host = {"memory": 64, "portMappings": [{"containerPort": 80}]}
    assert reserved(host, networkMode="host") == (0, 64, [80])


@pytest.mark.parametrize("driver", ["json-file", "awslogs"])
def test_a_payload_that_serves_again_is_what_would_have_been_made_anew(driver: str) -> None:
    """A law over every kind of difference two tasks of a definition can have; a log stream named by the task forbids it."""
    only = {"name": "app", "image": "busybox", "memory": 64, "logConfiguration": {"logDriver": driver, "options": {}}}
    second = {"name": "side", "image": "busybox", "memory": 32, "essential": False}
    document = {"family": "web", "containerDefinitions": [only, second], "cpu": "256"}
    definition = checked(msgspec.convert(document, shapes.RegisterTaskDefinitionRequest))
    kept = TaskDefinition(arn="arn:aws:ecs:us-east-1:000000000000:task-definition/web:3", family="web", revision=3, definition=definition)
    cluster = "arn:aws:ecs:us-east-1:000000000000:cluster/"
    first = TaskSpec(task_definition_arn=kept.arn, group="family:web", created_at=0.0)
    other = TaskSpec(
        task_definition_arn=kept.arn,
        group="service:web",
        created_at=9.0,
        service_arn="a-service",
        deployment_id="d",
        launch_type="EXTERNAL",
    )
    made = new_task(TASK, f"{cluster}default", kept, first, ["a", "b"])
    another = msgspec.structs.replace(
        new_task(TASK.replace("1", "2"), f"{cluster}blue", kept, other, ["c", "d"]),
        availability_zone="us-east-1b",
        container_instance_arn="i",
    )
    assert is_repeatable(made, kept) is (driver != "awslogs")
    if is_repeatable(made, kept):
        assert for_another(task_payload(made, kept, SITE, GATEWAY), another) == task_payload(another, kept, SITE, GATEWAY)
