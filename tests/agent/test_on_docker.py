"""Task definitions end to end: checked and mapped by the platform's own rules, run by an agent on a real Docker Engine, inspected there."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from longshore.agent.sharing import network_name
from longshore.agent.task_network import POOL, TaskNetwork
from longshore.aws.shapes import ecs as shapes
from longshore.config import AgentConfig
from longshore.runtime.docker import DockerRuntime
from longshore.services.ecs.model import Attachment, Task, TaskDefinition, TaskSpec
from longshore.services.ecs.new_task import new_task
from longshore.services.ecs.payload import task_payload
from longshore.services.ecs.task_definition_rules import checked
from tests.agent.conftest import AgentUnderTest
from tests.agent.platform import CLUSTER_ARN, Platform, task_arn, until
from tests.chaos.private_engine import PrivateEngine
from tests.engines import base_image as base_image_of
from tests.engines import docker_request
from tests.services.ecs.conftest import SITE

pytestmark = pytest.mark.engine("docker")

MIB = 1024 * 1024
WAITS = ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.05; done"]
INSTANCE = "i-0d0c4e2000000000f"
RANGE = "10.213.9.0/24"


class OnDocker:
    """An agent with a real engine; `run` starts a task of a definition and waits until it runs."""

    def __init__(self, platform: Platform, agent: AgentUnderTest, image: str) -> None:
        self.platform = platform
        self.agent = agent
        self.image = image
        self.arns: list[str] = []

    def payload(self, *containers: dict[str, Any], attachment: Attachment | None = None, **members: Any) -> dict[str, Any]:
        named = [{"name": f"c{at}", "image": self.image, "memory": 32, "command": WAITS, **one} for at, one in enumerate(containers)]
        document = {"family": "web", "containerDefinitions": named, **members}
        definition = checked(msgspec.convert(document, shapes.RegisterTaskDefinitionRequest))
        arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/web:3"
        kept = TaskDefinition(arn=arn, family="web", revision=3, definition=definition)
        self.arns.append(task_arn(len(self.arns) + 1))
        spec = TaskSpec(task_definition_arn=arn, group="family:web", created_at=0.0)
        task: Task = new_task(self.arns[-1], CLUSTER_ARN, kept, spec, [str(at) for at in range(len(named))])
        if attachment is not None:
            task = replace(task, status=replace(task.status, attachments=(attachment,)))
        made = task_payload(task, kept, SITE, self.platform.endpoint)
        return dict(json.loads(msgspec.json.encode(made)))

    async def run(self, *containers: dict[str, Any], **members: Any) -> list[dict[str, Any]]:
        """What the engine says of each container."""
        payload = self.payload(*containers, **members)
        await self.platform.send_tasks(payload)
        await self.reported(payload["arn"])
        return [inspected(self.arns[-1], one["name"]) for one in payload["containers"]]

    async def reported(self, arn: str) -> None:
        await until(lambda: {"RUNNING", "STOPPED"} & set(self.platform.statuses(arn)), 30.0)
        assert "RUNNING" in self.platform.statuses(arn), self.platform.reports[-1]["containers"]

    async def stop(self, arn: str) -> dict[str, Any]:
        await self.platform.send_tasks({"arn": arn, "desiredStatus": "STOPPED", "containers": []})
        return dict(await self.platform.reported(arn, "STOPPED", 30.0))


def ask(path: str) -> Any:
    return json.loads(docker_request("GET", path)[1])


def containers_of(arn: str) -> list[dict[str, Any]]:
    filters = json.dumps({"label": [f"com.amazonaws.ecs.task-arn={arn}", f"longshore.instance={INSTANCE}"]})
    found: list[dict[str, Any]] = ask(f"/containers/json?all=1&filters={filters}".replace(" ", ""))
    return found


def inspected(arn: str, name: str) -> dict[str, Any]:
    (mine,) = [one for one in containers_of(arn) if one["Labels"]["com.amazonaws.ecs.container-name"] == name]
    found: dict[str, Any] = ask(f"/containers/{mine['Id']}/json")
    return found


def output(container: dict[str, Any], command: str) -> str:
    """Of a shell command in a container."""
    body = json.dumps({"Cmd": ["sh", "-c", command], "AttachStdout": True, "AttachStderr": True, "Tty": True}).encode()
    headers = {"Content-Type": "application/json"}
    made = json.loads(docker_request("POST", f"/containers/{container['Id']}/exec", body, headers)[1])
    return docker_request("POST", f"/exec/{made['Id']}/start", b'{"Tty": true}', headers)[1].decode().replace("\r\n", "\n").strip()


def open_to_all(folder: Path) -> None:
    (folder / "given").write_text("from the host ")
    folder.chmod(0o755)


@pytest.fixture
async def on(platform: Platform, agent_config: AgentConfig, docker_url: str, base_image: str) -> AsyncIterator[OnDocker]:
    runtime = DockerRuntime(docker_url)
    config = replace(agent_config, instance_id=INSTANCE, docker_url=docker_url, task_network=RANGE)
    under_test = AgentUnderTest(config, runtime)
    await under_test.start()
    await platform.connected()
    made = OnDocker(platform, under_test, base_image)
    try:
        yield made
    finally:
        await under_test.crash()
        for arn in made.arns:
            for one in containers_of(arn):
                await runtime.remove(one["Id"])
            await runtime.remove_group(arn.rpartition("/")[2])
        for volume in ask('/volumes?filters={"label":["longshore.instance=' + INSTANCE + '"]}')["Volumes"] or []:
            await runtime.remove_volume(volume["Name"])
        await runtime.remove_network(f"longshore-{INSTANCE}")
        await runtime.close()


async def test_every_parameter_of_a_container_reaches_the_engine(on: OnDocker, tmp_path: Path) -> None:
    open_to_all(tmp_path)
    whole = {
        "cpu": 128,
        "memory": 64,
        "memoryReservation": 32,
        "user": "1000:1000",
        "workingDirectory": "/tmp",
        "hostname": "harbour",
        "readonlyRootFilesystem": True,
        "interactive": True,
        "pseudoTerminal": True,
        "dnsServers": ["10.1.1.1"],
        "dnsSearchDomains": ["example.test"],
        "extraHosts": [{"hostname": "db", "ipAddress": "10.9.9.9"}],
        "dockerLabels": {"team": "blue"},
        "dockerSecurityOptions": ["no-new-privileges"],
        "ulimits": [{"name": "nofile", "softLimit": 512, "hardLimit": 1024}],
        "systemControls": [{"namespace": "net.core.somaxconn", "value": "300"}],
        "environment": [{"name": "COLOUR", "value": "blue"}],
        "mountPoints": [
            {"sourceVolume": "host", "containerPath": "/host", "readOnly": True},
            {"sourceVolume": "scratch", "containerPath": "/scratch"},
        ],
        "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}},
        "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 7, "timeout": 3, "retries": 2, "startPeriod": 1},
        "linuxParameters": {
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["CHOWN"]},
            "devices": [{"hostPath": "/dev/null", "containerPath": "/dev/nothing", "permissions": ["read"]}],
            "initProcessEnabled": True,
            "sharedMemorySize": 16,
            "tmpfs": [{"containerPath": "/fast", "size": 4, "mountOptions": ["noexec"]}],
        },
    }
    (found,) = await on.run(whole, volumes=[{"name": "host", "host": {"sourcePath": str(tmp_path)}}, {"name": "scratch"}])
    config, host = found["Config"], found["HostConfig"]
    assert (config["User"], config["WorkingDir"], config["Hostname"]) == ("1000:1000", "/tmp", "harbour")
    assert (config["OpenStdin"], config["Tty"], config["Labels"]["team"]) == (True, True, "blue")
    assert config["Healthcheck"]["Interval"] == 7_000_000_000 and config["Healthcheck"]["Retries"] == 2
    assert (host["CpuShares"], host["Memory"], host["MemoryReservation"]) == (128, 64 * MIB, 32 * MIB)
    assert (host["ReadonlyRootfs"], host["Init"], host["ShmSize"]) == (True, True, 16 * MIB)
    assert (host["Dns"], host["DnsSearch"], host["ExtraHosts"]) == (["10.1.1.1"], ["example.test"], ["db:10.9.9.9"])
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert [(limit["Name"], limit["Soft"], limit["Hard"]) for limit in host["Ulimits"]] == [("nofile", 512, 1024)]
    assert host["Tmpfs"] == {"/fast": "size=4m,noexec"}
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m"}}
    assert [capability.removeprefix("CAP_") for capability in (*host["CapAdd"], *host["CapDrop"])] == ["NET_ADMIN", "CHOWN"]
    seen = "id -u; pwd; hostname; echo $COLOUR; cat /host/given; cat /proc/sys/net/core/somaxconn; touch /no 2>/dev/null || echo read-only"
    assert output(found, seen).split("\n") == ["1000", "/tmp", "harbour", "blue", "from the host 300", "read-only"]
    assert "db" in output(found, "cat /etc/hosts") and "10.1.1.1" in output(found, "cat /etc/resolv.conf")
    assert output(found, "grep 'open files' /proc/1/limits").split()[3:5] == ["512", "1024"]
    assert output(found, "stat -c %F /dev/nothing") == "character special file"
    await on.stop(on.arns[-1])


async def test_unnetworked_containers_and_the_use_of_swap(on: OnDocker) -> None:
    (found,) = await on.run({"disableNetworking": True, "linuxParameters": {"maxSwap": 16, "swappiness": 40}})
    assert found["Config"]["NetworkDisabled"] is True and "eth0" not in output(found, "cat /proc/net/dev")
    assert found["HostConfig"]["MemorySwap"] in (48 * MIB, -1, 0), "an engine without swap accounting drops it"
    assert found["HostConfig"]["MemorySwappiness"] in (40, None)


async def test_privileged_containers_are_asked_for_as_such(on: OnDocker) -> None:
    """The machine may not have the privileges to give."""
    payload = on.payload({"privileged": True})
    await on.platform.send_tasks(payload)
    await until(lambda: on.platform.statuses(payload["arn"]), 30.0)
    assert inspected(payload["arn"], "c0")["HostConfig"]["Privileged"] is True
    if "RUNNING" not in on.platform.statuses(payload["arn"]):
        (ended,) = (await on.platform.reported(payload["arn"], "STOPPED"))["containers"]
        assert ended["reason"].startswith("CannotStartContainerError: Error response from daemon: ")


async def test_containers_wait_for_each_other_link_and_share_volumes(on: OnDocker) -> None:
    done, healthy, last = await on.run(
        {
            "essential": False,
            "command": ["sh", "-c", "echo ready > /shared/flag"],
            "mountPoints": [{"sourceVolume": "v", "containerPath": "/shared"}],
        },
        {
            "dependsOn": [{"containerName": "c0", "condition": "SUCCESS"}],
            "healthCheck": {"command": ["CMD-SHELL", "test -f /shared/flag"], "interval": 5},
            "volumesFrom": [{"sourceContainer": "c0", "readOnly": True}],
            "linuxParameters": {"initProcessEnabled": True},
        },
        {"links": ["c1:backend"], "dependsOn": [{"containerName": "c1", "condition": "HEALTHY"}], "startTimeout": 60},
        volumes=[{"name": "v"}],
    )
    assert done["State"]["ExitCode"] == 0
    assert output(healthy, "cat /shared/flag; touch /shared/x 2>/dev/null || echo read-only").split() == ["ready", "read-only"]
    assert "backend" in output(last, "cat /etc/hosts")
    assert last["State"]["StartedAt"] > healthy["State"]["StartedAt"] > done["State"]["FinishedAt"]


async def test_the_task_has_one_limit_for_all_its_containers(on: OnDocker) -> None:
    one, two = await on.run({"cpu": 64}, {"cpu": 64}, cpu="256", memory="96")
    identifier = on.arns[-1].rpartition("/")[2]
    if not one["HostConfig"]["CgroupParent"]:
        pytest.skip("no control groups can be made here")
    assert {one["HostConfig"]["CgroupParent"], two["HostConfig"]["CgroupParent"]} == {f"/ecs/{identifier}"}
    root = Path("/sys/fs/cgroup")
    if (root / "memory").is_dir():
        assert (root / "memory/ecs" / identifier / "memory.limit_in_bytes").read_text().strip() == str(96 * MIB)
        assert (root / "cpu/ecs" / identifier / "cpu.cfs_quota_us").read_text().strip() == "25000"
    else:
        assert (root / "ecs" / identifier / "memory.max").read_text().strip() == str(96 * MIB)


async def test_a_container_that_takes_too_much_memory_says_so(on: OnDocker) -> None:
    eats = {"memory": 8, "command": ["sh", "-c", "x=$(yes | head -c 60000000); echo $x"]}
    payload = on.payload(eats)
    await on.platform.send_tasks(payload)
    report = await on.platform.reported(payload["arn"], "STOPPED", 30.0)
    (ended,) = report["containers"]
    assert ended["exitCode"] == 137 and ended["reason"] == "OutOfMemoryError: Container killed due to memory usage"


async def test_containers_that_take_too_much_together_are_stopped_by_the_task_s_limit(on: OnDocker) -> None:
    """Neither takes more than it may by itself."""
    takes = ["sh", "-c", "x=$(yes | head -c 14000000); " + WAITS[2]]
    payload = on.payload({"memory": None, "command": takes}, {"memory": None, "command": takes, "essential": False}, cpu="256", memory="24")
    await on.platform.send_tasks(payload)
    if not (await on.agent.runtime.facts()).limits_groups:
        pytest.skip("no control groups can be made here")
    await until(lambda: any(one.get("reason", "").startswith("OutOfMemoryError") for one in _told(on, payload["arn"])), 30.0)


def _told(on: OnDocker, arn: str) -> list[dict[str, Any]]:
    return [one for report in on.platform.reports if report["task"] == arn for one in report.get("containers", ())]


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        ("syslog", {"syslog-address": "udp://127.0.0.1:9", "tag": "web"}),
        ("gelf", {"gelf-address": "udp://127.0.0.1:9"}),
        ("fluentd", {"fluentd-async-connect": "true", "fluentd-address": "127.0.0.1:9"}),
    ],
)
async def test_a_log_driver_is_the_engine_s_own(on: OnDocker, driver: str, options: dict[str, str]) -> None:
    attributes = {attribute["name"] for attribute in on.platform.registrations[0]["attributes"]}
    assert f"com.amazonaws.ecs.capability.logging-driver.{driver}" in attributes
    (found,) = await on.run({"logConfiguration": {"logDriver": driver, "options": options}})
    assert found["HostConfig"]["LogConfig"] == {"Type": driver, "Config": options}


def own(number: int) -> Attachment:
    return Attachment(
        id=f"a-{number}",
        eni_id=f"eni-{number:017x}",
        mac_address=f"0e:00:00:00:00:{number:02x}",
        private_address=f"10.213.9.{10 + number}",
        subnet_id="subnet-1",
        gateway="10.213.9.1/24",
    )


async def test_tasks_with_addresses_of_their_own_use_the_same_port(on: OnDocker) -> None:
    serves = "echo $NAME > /tmp/index.html; httpd -p 8080 -h /tmp; " + WAITS[2]
    found = []
    for number in (1, 2):
        container = {
            "command": ["sh", "-c", serves],
            "environment": [{"name": "NAME", "value": f"task-{number}"}],
            "portMappings": [{"containerPort": 8080}],
            "systemControls": [{"namespace": "net.core.somaxconn", "value": "77"}],
        }
        found.append(await on.run(container, {}, networkMode="awsvpc", attachment=own(number)))
        report = next(one for one in on.platform.reports if one["task"] == on.arns[-1] and one["status"] == "RUNNING")
        assert report["attachments"] == [
            {"attachmentArn": f"arn:aws:ecs:us-east-1:123456789012:attachment/a-{number}", "status": "ATTACHED"}
        ]
        assert {one["containerName"] for one in report["containers"]} == {"c0", "c1"}, "nobody is told of the agent's own container"
    for number, (web, side) in enumerate(found, 1):
        address = f"10.213.9.{10 + number}"
        assert web["HostConfig"]["NetworkMode"].startswith("container:")
        assert address in output(side, "ip addr") and f"0e:00:00:00:00:{number:02x}" in output(side, "ip addr")
        assert output(side, "wget -q -O - http://127.0.0.1:8080/; cat /proc/sys/net/core/somaxconn").split() == [f"task-{number}", "77"]
        assert output(found[0][1], f"wget -q -O - http://{address}:8080/") == f"task-{number}"
        reader, writer = await asyncio.open_connection(address, 8080)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert (await reader.read()).decode().endswith(f"task-{number}\n"), "the machine reaches it, too"
        writer.close()
    report = await on.stop(on.arns[0])
    assert report["status"] == "STOPPED"
    assert not any(one["State"] == "running" for one in containers_of(on.arns[0])), "and what held its address has gone with it"


async def test_tasks_of_two_instances_on_one_machine_reach_each_other(docker_url: str, base_image: str) -> None:
    """From their own addresses, as in a VPC."""
    runtime = DockerRuntime(docker_url)
    networks = [TaskNetwork(runtime, f"i-0d0c4e20000000{number:03x}") for number in (1, 2)]
    made = []
    try:
        for at, network in enumerate(networks):
            await network.choose()
            await network.make()
            name = network_name(f"i-0d0c4e20000000{at + 1:03x}")
            tells = "printf '#!/bin/sh\\necho; echo $REMOTE_ADDR' > /tmp/cgi-bin/who; busybox chmod +x /tmp/cgi-bin/who"
            serves = f"mkdir /tmp/cgi-bin; {tells}; httpd -f -p 8080 -h /tmp"
            body = {"Image": base_image, "Cmd": ["sh", "-c", serves], "HostConfig": {"NetworkMode": name}}
            made.append(await runtime.create(f"longshore-test-{name}", body))
            await runtime.start(made[-1])
        first, second = [await runtime.inspect(one) for one in made]
        if not await runtime.let_cross(str(POOL), allowed=True):
            pytest.skip("iptables cannot be used here")
        seen = output({"Id": second.id}, f"wget -q -O - http://{first.ip_address}:8080/cgi-bin/who")
        assert seen.strip("[]").removeprefix("::ffff:") == second.ip_address
    finally:
        for one in made:
            await runtime.remove(one)
        for network in networks:
            await network.remove()
        await runtime.close()


async def test_an_interface_survives_its_agent(on: OnDocker, platform: Platform) -> None:
    await on.run({}, networkMode="awsvpc", attachment=own(3))
    before = {one["Id"] for one in containers_of(on.arns[-1]) if one["State"] == "running"}
    await on.agent.crash()
    await on.agent.start()
    await platform.connected(2)
    assert {one["Id"] for one in containers_of(on.arns[-1]) if one["State"] == "running"} == before and len(before) == 2
    holder = next(one for one in containers_of(on.arns[-1]) if one["Labels"]["com.amazonaws.ecs.container-name"].startswith("~"))
    docker_request("POST", f"/containers/{holder['Id']}/kill")
    await platform.reported(on.arns[-1], "STOPPED", 30.0)


async def test_containers_of_a_task_share_process_numbers_and_memory(on: OnDocker) -> None:
    one, two = await on.run({}, {}, pidMode="task", ipcMode="task")
    assert output(one, "ps | grep -c '[t]rap'") == "2", "each sees both"
    assert "/pause" in output(two, "cat /proc/1/cmdline | tr '\\0' ' '")
    assert one["HostConfig"]["IpcMode"] == two["HostConfig"]["IpcMode"] != "private"
    output(one, "touch /dev/shm/from-one")
    assert output(two, "ls /dev/shm") == "from-one"


async def test_the_host_s_own_network_and_none_at_all(on: OnDocker) -> None:
    (host,) = await on.run({}, networkMode="host", pidMode="host", ipcMode="host")
    assert (host["HostConfig"]["NetworkMode"], host["HostConfig"]["PidMode"], host["HostConfig"]["IpcMode"]) == ("host", "host", "host")
    (none,) = await on.run({}, networkMode="none")
    assert "eth0" not in output(none, "cat /proc/net/dev")


async def test_a_shared_volume_is_made_where_that_is_allowed_and_stays(on: OnDocker) -> None:
    name = f"shared-{on.platform.port}"
    mounts = [{"sourceVolume": name, "containerPath": "/v"}]
    shared = {"scope": "shared", "autoprovision": True, "driver": "local", "labels": {"longshore.instance": INSTANCE}}
    missing = on.payload({"mountPoints": mounts}, volumes=[{"name": name, "dockerVolumeConfiguration": {"scope": "shared"}}])
    await on.platform.send_tasks(missing)
    report = await on.platform.reported(missing["arn"], "STOPPED", 30.0)
    assert report["containers"][0]["reason"].startswith("CannotCreateVolumeError: ")
    for _ in range(2):
        await on.run({"mountPoints": mounts}, volumes=[{"name": name, "dockerVolumeConfiguration": shared}])
    assert ask(f"/volumes/{name}")["Labels"] == {"longshore.instance": INSTANCE}
    await on.stop(on.arns[-1])
    await on.stop(on.arns[-2])


@pytest.mark.engine("docker", "dockerd", "containerd", "ip")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts an engine")
async def test_after_a_kill_of_the_engine_tasks_have_addresses_again(
    platform: Platform, agent_config: AgentConfig, tmp_path: Path, docker_url: str
) -> None:
    """The engine ends what it ran, as it does unless it is told to let it live; the network is there again."""
    engine = PrivateEngine(tmp_path / "engine", 212)
    await asyncio.to_thread(engine.start)
    runtime = DockerRuntime(engine.url)
    config = replace(agent_config, instance_id=INSTANCE, docker_url=engine.url, task_network=RANGE)
    under_test = AgentUnderTest(config, runtime)
    made = OnDocker(platform, under_test, await asyncio.to_thread(base_image_of, engine.url))
    try:
        await under_test.start()
        await platform.connected()
        first = made.payload({}, networkMode="awsvpc", attachment=own(1))
        await platform.send_tasks(first)
        await made.reported(first["arn"])
        await asyncio.to_thread(engine.restart, kill=True)
        await platform.reported(first["arn"], "STOPPED", 30.0)
        # the same address once more: nobody holds it
        second = made.payload({}, networkMode="awsvpc", attachment=own(1))
        await platform.send_tasks(second)
        await made.reported(second["arn"])
        running = [one["Labels"]["com.amazonaws.ecs.task-arn"] for one in engine.containers()]
        assert running == [second["arn"]] * 2, "and nothing of the first one runs"
    finally:
        await under_test.crash()
        for one in engine.containers(running=False):
            await runtime.remove(one["Id"])
        await runtime.remove_network(network_name(INSTANCE))
        for arn in made.arns:
            await runtime.remove_group(arn.rpartition("/")[2])
        await runtime.close()
        await asyncio.to_thread(engine.remove)
