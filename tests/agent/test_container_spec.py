"""Payload containers in Docker Engine's words."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from longshore.agent import messages
from longshore.agent.container_spec import Fetched, Place, container_name, create_body, network_bindings, volume_name
from longshore.runtime.base import PublishedPort
from tests.agent.platform import container, task, task_arn

PLACE = Place(instance_id="i-1", container_instance_arn="arn:instance", address="127.0.1.7", region="eu-west-1")


def read(raw: dict[str, Any]) -> messages.Task:
    return msgspec.json.decode(json.dumps(raw), type=messages.Task)


def body(*containers: dict[str, Any], host_ranges: dict[str, int] | None = None, **more: Any) -> dict[str, Any]:
    """The create body of the first container."""
    made = read(task(1, *containers, **more))
    return create_body(made, made.containers[0], PLACE, made.containers[0].image, host_ranges)


def docker(config: dict[str, Any] | None = None, host_config: dict[str, Any] | None = None) -> dict[str, str]:
    return {"version": "1.32", "config": json.dumps(config or {}), "hostConfig": json.dumps(host_config or {})}


def test_what_to_run_with_which_environment() -> None:
    made = body(container(image="bb:2", command=["a", "b"], entryPoint=["/e"], environment={"FOO": "bar"}))
    assert (made["Image"], made["Cmd"], made["Entrypoint"]) == ("bb:2", ["a", "b"], ["/e"])
    assert made["Env"] == ["FOO=bar", "AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-1"]


def test_the_image_decides_what_the_payload_leaves_open() -> None:
    made = body(container())
    assert "Cmd" not in made and "Entrypoint" not in made


def test_the_tasks_own_region_wins() -> None:
    assert body(container(environment={"AWS_REGION": "mars-1"}))["Env"] == ["AWS_REGION=mars-1"]


def test_a_command_override_replaces_the_command() -> None:
    assert body(container(command=["old"], overrides='{"command": ["new", "one"]}'))["Cmd"] == ["new", "one"]


def test_it_is_labelled_with_its_task_and_instance() -> None:
    labels = body(container(dockerConfig=docker({"Labels": {"my": "label", "longshore.instance": "forged"}})))["Labels"]
    assert labels == {
        "my": "label",
        "com.amazonaws.ecs.cluster": "default",
        "com.amazonaws.ecs.container-name": "main",
        "com.amazonaws.ecs.task-arn": task_arn(1),
        "com.amazonaws.ecs.task-definition-family": "web",
        "com.amazonaws.ecs.task-definition-version": "3",
        "longshore.container-instance": "arn:instance",
        "longshore.instance": "i-1",
    }


def test_names_are_the_same_every_time_and_different_for_every_task() -> None:
    first, second = read(task(1)), read(task(2))
    assert container_name(first, "main") == container_name(first, "main") != container_name(second, "main")
    assert container_name(first, "main").startswith("ecs-web-3-main-")


def test_ports_are_published_on_the_instances_address() -> None:
    made = body(
        container(
            portMappings=[
                {"containerPort": 80, "hostPort": 8080, "protocol": "tcp"},
                {"containerPort": 53, "hostPort": 0, "protocol": "udp"},
                {"containerPort": 0, "hostPort": 0, "containerPortRange": "9000-9001"},
            ]
        ),
        host_ranges={"9000-9001": 50000},
    )
    assert made["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.1.7", "HostPort": "8080"}],
        "53/udp": [{"HostIp": "127.0.1.7", "HostPort": ""}],
        "9000/tcp": [{"HostIp": "127.0.1.7", "HostPort": "50000"}],
        "9001/tcp": [{"HostIp": "127.0.1.7", "HostPort": "50001"}],
    }
    assert set(made["ExposedPorts"]) == {"80/tcp", "53/udp", "9000/tcp", "9001/tcp"}


def test_in_the_hosts_network_nothing_is_published_and_all_is_reported() -> None:
    given = container(portMappings=[{"containerPort": 80, "hostPort": 80}], dockerConfig=docker())
    made = body(given, networkMode="host")
    assert made["HostConfig"]["NetworkMode"] == "host" and made["HostConfig"]["PortBindings"] == {}
    wanted = read(task(1, given, networkMode="host"))
    bindings = msgspec.to_builtins(network_bindings(wanted, wanted.containers[0], (), "127.0.1.7"))
    assert bindings == ({"bindIP": "127.0.1.7", "containerPort": 80, "hostPort": 80, "protocol": "tcp"},)


def test_published_ranges_are_reported_as_ranges_and_ipv6_twins_not_at_all() -> None:
    wanted = read(task(1, container(portMappings=[{"containerPort": 80}, {"containerPortRange": "9000-9001"}])))
    published = (
        PublishedPort(80, 32768, "tcp", "127.0.1.7"),
        PublishedPort(80, 32768, "tcp", "::"),
        PublishedPort(9000, 50000, "tcp", "127.0.1.7"),
        PublishedPort(9001, 50001, "tcp", "127.0.1.7"),
    )
    single, span = network_bindings(wanted, wanted.containers[0], published, "127.0.1.7")
    assert (single.container_port, single.host_port) == (80, 32768)
    assert (span.container_port_range, span.host_port_range) == ("9000-9001", "50000-50001")


def test_sizes_have_the_engines_minimum() -> None:
    small = body(container(cpu=0, memory=1))["HostConfig"]
    assert small["CpuShares"] == 2 and small["Memory"] == 6 * 1024 * 1024
    assert "Memory" not in body(container(memory=0))["HostConfig"]


def test_the_tasks_size_bounds_each_of_its_containers() -> None:
    made = body(container(cpu=128, memory=0), cpu=0.25, memory=64)["HostConfig"]
    assert made["NanoCpus"] == 250_000_000 and made["Memory"] == 64 * 1024 * 1024 and made["CpuShares"] == 128


def test_volumes_of_every_kind_are_mounted() -> None:
    points = [
        {"sourceVolume": "host", "containerPath": "/h", "readOnly": True},
        {"sourceVolume": "own", "containerPath": "/o"},
        {"sourceVolume": "shared", "containerPath": "/s"},
    ]
    volumes = [
        {"name": "host", "type": "host", "host": {"sourcePath": "/srv"}},
        {"name": "own", "type": "host", "host": {}},
        {"name": "shared", "type": "docker", "dockerVolumeConfiguration": {"scope": "shared", "driver": "local"}},
    ]
    made = read(task(1, container(mountPoints=points), volumes=volumes))
    assert made.volumes is not None
    assert create_body(made, made.containers[0], PLACE, "bb:1")["HostConfig"]["Binds"] == [
        "/srv:/h:ro",
        f"{volume_name(made, made.volumes[1])}:/o",
        "shared:/s",
    ]
    assert volume_name(made, made.volumes[1]).startswith("ecs-web-3-own-")


def test_containers_refer_to_each_other_by_their_engine_names() -> None:
    made = body(
        container(links=["db:database", "cache"], volumesFrom=[{"sourceContainer": "db", "readOnly": True}]),
        container("db"),
        container("cache"),
    )
    wanted = read(task(1))
    db, cache = container_name(wanted, "db"), container_name(wanted, "cache")
    assert made["HostConfig"]["Links"] == [f"{db}:database", f"{cache}:cache"]
    assert made["HostConfig"]["VolumesFrom"] == [f"{db}:ro"]


def test_docker_settings_of_the_payload_have_the_last_word() -> None:
    laid_over = docker(
        {"User": "nobody", "Healthcheck": {"Test": ["CMD", "true"]}},
        {"CpuShares": 7, "LogConfig": {"Type": "none"}, "CapAdd": ["SYS_TIME"]},
    )
    made = body(container(cpu=128, dockerConfig=laid_over))
    assert made["User"] == "nobody" and made["Healthcheck"] == {"Test": ["CMD", "true"]}
    assert made["HostConfig"]["CpuShares"] == 7
    assert made["HostConfig"]["LogConfig"] == {"Type": "none"}
    assert made["HostConfig"]["CapAdd"] == ["SYS_TIME"]


def test_logs_go_to_files_unless_told_otherwise() -> None:
    assert body(container())["HostConfig"]["LogConfig"] == {"Type": "json-file", "Config": {}}


def test_what_was_fetched_is_in_the_request_and_nowhere_else() -> None:
    logs = docker(host_config={"LogConfig": {"Type": "splunk", "Config": {"splunk-url": "u"}}})
    made = read(task(1, container(environment={"A": "1"}, dockerConfig=logs)))
    fetched = Fetched(environment={"PASSWORD": "hush"}, log_options={"splunk-token": "hush"})
    found = create_body(made, made.containers[0], PLACE, "bb:1", fetched=fetched)
    assert "PASSWORD=hush" in found["Env"]
    assert found["HostConfig"]["LogConfig"] == {"Type": "splunk", "Config": {"splunk-url": "u", "splunk-token": "hush"}}
    assert "hush" not in repr(fetched) and "hush" not in json.dumps(create_body(made, made.containers[0], PLACE, "bb:1"))


def test_a_control_group_takes_the_place_of_a_quota_for_each() -> None:
    made = read(task(1, container(), cpu=0.5, memory=64))
    host = create_body(made, made.containers[0], PLACE, "bb:1", parent="/ecs/t")["HostConfig"]
    assert host["CgroupParent"] == "/ecs/t" and "NanoCpus" not in host


def test_gpus_are_asked_for_by_name() -> None:
    given = [{"name": "GPU-1", "type": "gpu", "containers": ["main"]}, {"name": "GPU-2", "type": "gpu", "containers": ["other"]}]
    made = body(container(), associations=given)
    assert made["HostConfig"]["DeviceRequests"] == [{"Driver": "nvidia", "DeviceIDs": ["GPU-1"], "Capabilities": [["gpu"]]}]
    assert "NVIDIA_VISIBLE_DEVICES=GPU-1" in made["Env"]
