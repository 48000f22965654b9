"""What the containers of a task share, and what joining it takes away from them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from longshore.agent import messages
from longshore.agent.acceptance import parts
from longshore.agent.lifecycle import Action, Phase, Seen, TaskStatus, Verb, must_end, step, task_status
from longshore.agent.sharing import PAUSE, all_containers, holder_body, join, joined, needs_pause
from tests.agent.platform import container, task

INTERFACE = {
    "ec2Id": "eni-1",
    "macAddress": "0e:00:00:00:00:01",
    "ipv4Addresses": [{"primary": True, "privateAddress": "10.1.0.7"}],
    "subnetGatewayIpv4Address": "10.1.0.1/24",
    "privateDnsName": "ip-10-1-0-7.ec2.internal",
}


def read(*containers: dict[str, Any], **members: Any) -> messages.Task:
    return msgspec.json.decode(json.dumps(task(1, *containers, **members)), type=messages.Task)


def controls(**values: str) -> dict[str, str]:
    named = {name.replace("_", "."): value for name, value in values.items()}
    return {"version": "1.32", "config": "{}", "hostConfig": json.dumps({"Sysctls": named})}


@pytest.mark.parametrize(
    ("members", "needed"),
    [
        ({}, False),
        ({"networkMode": "host"}, False),
        ({"pidMode": "host"}, False),
        ({"networkMode": "awsvpc"}, True),
        ({"pidMode": "task"}, True),
    ],
)
def test_most_tasks_share_nothing(members: dict[str, Any], needed: bool) -> None:
    made = read(container(), **members)
    assert needs_pause(made) is needed
    assert [one.name for one in all_containers(made)] == ([PAUSE, "main"] if needed else ["main"])


def test_the_holder_has_the_interface_and_the_network_s_parameters() -> None:
    made = read(
        container(dockerConfig=controls(net_core_somaxconn="9", kernel_shmmax="1")),
        networkMode="awsvpc",
        elasticNetworkInterfaces=[INTERFACE],
    )
    body = holder_body(made, "i-1", "pause:1", {"a": "b"}, "/ecs/t")
    assert body["HostConfig"]["NetworkMode"] == "longshore-i-1" and body["HostConfig"]["CgroupParent"] == "/ecs/t"
    assert body["HostConfig"]["Sysctls"] == {"net.core.somaxconn": "9"}
    endpoint = body["NetworkingConfig"]["EndpointsConfig"]["longshore-i-1"]
    assert endpoint == {"IPAMConfig": {"IPv4Address": "10.1.0.7"}, "MacAddress": "0e:00:00:00:00:01"}
    assert (body["Hostname"], body["Labels"]) == ("ip-10-1-0-7", {"a": "b"})


def test_who_joins_a_network_has_nothing_of_its_own() -> None:
    made = read(container(), networkMode="awsvpc", elasticNetworkInterfaces=[INTERFACE])
    host = {"PortBindings": {}, "Dns": [], "Links": ["a:b"], "Sysctls": {"net.core.somaxconn": "9", "kernel.shmmax": "1"}, "Memory": 1}
    body = join(made, {"Image": "i", "Hostname": "h", "ExposedPorts": {}, "HostConfig": host}, "holder")
    assert body == {"Image": "i", "HostConfig": {"Sysctls": {"kernel.shmmax": "1"}, "Memory": 1, "NetworkMode": "container:holder"}}


def test_process_numbers_are_shared_and_the_network_is_not() -> None:
    made = read(container(), pidMode="task", ipcMode="task")
    body = join(made, {"Hostname": "h", "HostConfig": {"NetworkMode": "bridge"}}, "holder")
    assert body == {"Hostname": "h", "HostConfig": {"NetworkMode": "bridge", "PidMode": "container:holder", "IpcMode": "container:holder"}}
    assert holder_body(made, "i-1", "pause:1", {}, "")["HostConfig"]["IpcMode"] == "shareable"


def test_what_is_shared_comes_first_goes_last_and_ends_the_task() -> None:
    made = read(container(), networkMode="awsvpc", elasticNetworkInterfaces=[INTERFACE])
    all_parts = joined(parts(made))
    pulled = {part.name: Seen(phase=Phase.PULLED) for part in all_parts}
    assert step(all_parts, pulled, wanted=True, now=0.0).actions == (Action(Verb.CREATE, PAUSE),)
    running = {part.name: Seen(phase=Phase.RUNNING, started_at=0.0) for part in all_parts}
    assert step(all_parts, running, wanted=False, now=0.0).actions == (Action(Verb.STOP, "main"),)
    over = {**running, "main": Seen(phase=Phase.STOPPED, exit_code=0, started_at=0.0)}
    assert must_end(all_parts, over) and task_status(all_parts, over, wanted=True) is TaskStatus.PENDING
    assert step(all_parts, over, wanted=True, now=0.0).actions == (Action(Verb.STOP, PAUSE),)
    lost = {**running, PAUSE: Seen(phase=Phase.STOPPED, exit_code=137, started_at=0.0)}
    assert must_end(all_parts, lost)


def test_a_task_without_an_essential_container_ends_with_the_last_of_its_own() -> None:
    made = read(container(essential=False), pidMode="task")
    all_parts = joined(parts(made))
    over = {PAUSE: Seen(phase=Phase.RUNNING, started_at=0.0), "main": Seen(phase=Phase.STOPPED, exit_code=0, started_at=0.0)}
    assert must_end(all_parts, over)
