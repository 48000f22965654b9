"""Tasks in their roles, from inside their containers: real containers, real addresses, and those who try for what is another's."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.integration.installation import Installation

pytestmark = [pytest.mark.engine("docker"), pytest.mark.timeout(180)]

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
WAITS = ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.05; done"]
AGENT = "http://169.254.170.2"
#: where the interpreter that runs the tests lies, with its packages: given to a container to read
PYTHON = tuple(dict.fromkeys(str(path) for path in map(Path, ("/usr", "/lib", "/lib64", sys.base_prefix, sys.prefix)) if path.exists()))
ASKS = """
import boto3, json
told = {"who": boto3.client("sts").get_caller_identity()["Arn"], "may": len(boto3.client("ecs").list_clusters()["clusterArns"])}
try:
    boto3.client("ecs").list_services()
except Exception as refused:
    told["may not"] = str(refused)
print(json.dumps(told), flush=True)
"""


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[..., int]) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("roles"), free_port())
    made.up("--dev", "--no-tls", instances=2)
    iam = made.client("iam")
    for name in ("app", "other"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    may = {"Effect": "Allow", "Action": ["ecs:ListClusters", "ecs:GetTaskProtection", "ecs:UpdateTaskProtection"], "Resource": "*"}
    iam.put_role_policy(RoleName="app", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [may]}))
    try:
        yield made
    finally:
        identifiers = [path.read_text() for path in made.data.glob("agents/*/instance-id")]
        made.down()
        for identifier in identifiers:
            found = made.run("docker", "ps", "-aq", "--filter", f"label=longshore.instance={identifier}").split()
            if found:
                made.run("docker", "rm", "--force", "--volumes", *found)


class Running:
    """A task of one container."""

    def __init__(self, there: Installation, family: str, image: str, *, role: str = "", mode: str = "bridge", **more: Any) -> None:
        self.there = there
        ecs = there.client("ecs")
        container = {"name": "main", "image": image, "memory": 256, "command": WAITS, **more.pop("container", {})}
        given = {"taskRoleArn": role} if role else {}
        ecs.register_task_definition(family=family, networkMode=mode, containerDefinitions=[container], **given, **more)
        answer = ecs.run_task(taskDefinition=family)
        assert answer["failures"] == []
        self.arn = answer["tasks"][0]["taskArn"]

    def seen(self) -> dict[str, Any]:
        found: dict[str, Any] = self.there.client("ecs").describe_tasks(tasks=[self.arn])["tasks"][0]
        return found

    def until(self, status: str) -> Running:
        end = time.monotonic() + 60
        while (found := self.seen())["lastStatus"] != status:
            assert time.monotonic() < end and found["lastStatus"] != "STOPPED", found
            time.sleep(0.1)
        return self

    @property
    def container_id(self) -> str:
        return str(self.seen()["containers"][0]["runtimeId"])

    def inside(self, *command: str) -> str:
        return self.there.run("docker", "exec", self.container_id, *command)

    def variables(self) -> dict[str, str]:
        found = json.loads(self.there.run("docker", "inspect", self.container_id))[0]["Config"]["Env"]
        return dict(line.partition("=")[::2] for line in found)

    def asks(self, path: str) -> str:
        """The body of the answer, or what is said of a refusal."""
        return self.inside("sh", "-c", f"wget -q -O- {AGENT}{path} 2>&1 || true")

    def stop(self) -> None:
        self.there.client("ecs").stop_task(task=self.arn)


@pytest.fixture(scope="module")
def tasks(there: Installation, base_image: str) -> dict[str, Running]:
    """Two with a role, one without, one on the machine's own network with a role."""
    made = {
        "one": Running(there, "one", base_image, role="app"),
        "two": Running(there, "two", base_image, role="other"),
        "none": Running(there, "none", base_image),
        "host": Running(there, "host", base_image, role="app", mode="host"),
        "guest": Running(there, "guest", base_image, role="other", mode="host"),
    }
    for task in made.values():
        task.until("RUNNING")
    return made


def test_boto3_without_keys_or_settings_has_exactly_its_roles_rights(there: Installation, base_image: str) -> None:
    volumes = [{"name": f"v{at}", "host": {"sourcePath": path}} for at, path in enumerate(PYTHON)]
    mounts = [{"sourceVolume": f"v{at}", "containerPath": path, "readOnly": True} for at, path in enumerate(PYTHON)]
    asking = {"command": [sys.executable, "-c", ASKS], "mountPoints": mounts}
    for mode in ("bridge", "host"):
        task = Running(there, f"boto-{mode}", base_image, role="app", mode=mode, container=asking, volumes=volumes)
        end = time.monotonic() + 60
        while (seen := task.seen())["lastStatus"] != "STOPPED":
            assert time.monotonic() < end
            time.sleep(0.1)
        output = there.run("docker", "logs", seen["containers"][0]["runtimeId"])
        assert seen["containers"][0]["exitCode"] == 0, output
        told = json.loads(output.strip().splitlines()[-1])
        assert told["who"].endswith(f":assumed-role/app/{task.arn.rsplit('/', 1)[-1]}")
        assert told["may"] == 1 and "ecs:ListServices" in told["may not"]


def test_credentials_are_the_callers_own_and_no_id_opens_anothers(tasks: dict[str, Running]) -> None:
    paths = {name: task.variables().get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "") for name, task in tasks.items()}
    assert paths["none"] == "" and len(set(paths.values())) == 5
    for name, role in (("one", "app"), ("two", "other"), ("host", "app"), ("guest", "other")):
        given = json.loads(tasks[name].asks(paths[name]))
        assert given["RoleArn"].endswith(f":role/{role}") and given["AccessKeyId"].startswith("ASIA") and given["Token"]
    for thief in tasks:
        for owner, path in paths.items():
            if path and owner != thief:
                assert "SecretAccessKey" not in tasks[thief].asks(path), f"{thief} got what is {owner}'s"
    # nor does anything else of this machine
    for path in (paths["one"], paths["host"]):
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{AGENT}{path}", timeout=5)


def test_metadata_is_the_callers_own(tasks: dict[str, Running]) -> None:
    one, two = tasks["one"], tasks["two"]
    path = one.variables()["ECS_CONTAINER_METADATA_URI_V4"].removeprefix(AGENT)
    shown = json.loads(one.asks(path))
    assert (shown["DockerId"], shown["Name"], shown["KnownStatus"]) == (one.container_id, "main", "RUNNING")
    assert shown["Networks"][0]["IPv4Addresses"][0] == one.inside("hostname", "-i").strip()
    task = json.loads(one.asks(f"{path}/task"))
    assert (task["TaskARN"], task["Family"], task["LaunchType"]) == (one.arn, "one", "EC2")
    assert json.loads(one.asks("/v2/metadata"))["TaskARN"] == one.arn
    assert json.loads(one.asks(f"{path}/stats"))["memory_stats"]["usage"] > 0
    tags = json.loads(one.asks(f"{path}/taskWithTags"))
    assert "Errors" not in tags
    for thief in (two, tasks["none"], tasks["host"]):
        assert "TaskARN" not in thief.asks(f"{path}/task") and one.arn not in thief.asks("/v2/metadata")


def test_a_stopped_tasks_credentials_are_worth_nothing_at_once(there: Installation, base_image: str) -> None:
    task = Running(there, "short", base_image, role="app").until("RUNNING")
    given = json.loads(task.asks(task.variables()["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]))
    stolen = boto3.client(
        "ecs",
        endpoint_url=f"http://{there.registry}",
        region_name="us-east-1",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["Token"],
    )
    stolen.list_clusters()
    task.stop()
    end = time.monotonic() + 30
    while task.seen()["lastStatus"] != "STOPPED":
        assert time.monotonic() < end
        time.sleep(0.1)
    with pytest.raises(ClientError, match="token"):
        stolen.list_clusters()


def test_the_platform_is_reached_from_tasks_and_from_no_other_container(
    there: Installation, tasks: dict[str, Running], base_image: str
) -> None:
    url = tasks["none"].variables()["AWS_ENDPOINT_URL"]
    assert "ok" in tasks["none"].inside("wget", "-q", "-O-", f"{url}/_longshore/health").lower()
    stranger = there.run("docker", "run", "--rm", base_image, "sh", "-c", f"wget -q -O- {url}/_longshore/health 2>&1 || echo closed")
    assert "closed" in stranger


def test_each_agent_tells_of_itself_at_its_own_address(there: Installation, tasks: dict[str, Running]) -> None:
    told = {}
    for address in ("127.0.1.1", "127.0.1.2"):
        told[address] = json.loads(urllib.request.urlopen(f"http://{address}:51678/v1/metadata", timeout=5).read())
    arns = there.client("ecs").list_container_instances()["containerInstanceArns"]
    is_ours = {one["ContainerInstanceArn"] for one in told.values()} <= set(arns)
    if not is_ours and "CI" not in os.environ:
        pytest.skip("another platform's agents use these addresses")
    assert is_ours
    listed = json.loads(urllib.request.urlopen("http://127.0.1.1:51678/v1/tasks", timeout=5).read())["Tasks"]
    here = there.client("ecs").list_tasks(containerInstance=told["127.0.1.1"]["ContainerInstanceArn"])["taskArns"]
    assert {task["Arn"] for task in listed if task["KnownStatus"] == "RUNNING"} == set(here)
    assert all({"Arn", "KnownStatus", "Containers"} <= task.keys() for task in listed)
