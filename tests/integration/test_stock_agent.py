"""The unmodified amazon-ecs-agent on this platform: it joins, runs tasks, and comes back after everything that can happen to either side.

Opt-in, since the agent's program is not part of anything here: `LONGSHORE_STOCK_AGENT=/path/to/agent make test`. It takes the machine's
ports 51678 and 51679, as on any container instance.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from longshore.config import DataDirectory
from tests.engines import docker_request
from tests.integration.installation import Installation

PROGRAM = os.environ.get("LONGSHORE_STOCK_AGENT", "")
pytestmark = [
    pytest.mark.engine("docker"),
    pytest.mark.skipif(not PROGRAM, reason="LONGSHORE_STOCK_AGENT does not name the stock agent's program"),
    pytest.mark.timeout(600),
]
PATIENCE_S = 90.0
AGENTS_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"


def until(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """What `condition` gives once it is something; fails the test when that takes too long."""
    ends = time.monotonic() + patience_s
    while time.monotonic() < ends:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"this never came true: {what}")


class StockAgent:
    """One agent with a data directory of its own, and the keys of a user who may no more than the managed policy for agents says."""

    def __init__(self, platform: Installation, directory: Path, **settings: str) -> None:
        self.directory = directory
        (directory / "data").mkdir(parents=True, exist_ok=True)
        told, iam = platform.variables(), platform.client("iam")
        iam.create_user(UserName="machine")
        iam.attach_user_policy(UserName="machine", PolicyArn=AGENTS_POLICY)
        key = iam.create_access_key(UserName="machine")["AccessKey"]
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "ECS_BACKEND_HOST": told["AWS_ENDPOINT_URL"],
            "AWS_DEFAULT_REGION": told["AWS_REGION"],
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "ECS_CLUSTER": "default",
            "ECS_EXTERNAL": "true",
            "ECS_DATADIR": str(directory / "data"),
            "ECS_LOGFILE": str(directory / "agent.log"),
            "ECS_AUDIT_LOGFILE": str(directory / "audit.log"),
            "ECS_ENABLE_TASK_CPU_MEM_LIMIT": "false",
            "ECS_ENABLE_TASK_IAM_ROLE": "true",
            "ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST": "true",
            "ECS_AVAILABLE_LOGGING_DRIVERS": '["json-file","none"]',
            "ECS_DISABLE_IMAGE_CLEANUP": "true",
            "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached",
            "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION": "1m",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.directory / "output.log").open("ab") as output:
            self.process = subprocess.Popen([PROGRAM], env=self.environment, stdout=output, stderr=output, cwd=self.directory)

    def end(self, wanted: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(wanted)
            self.process.wait(20)
            self.process = None

    @property
    def said(self) -> str:
        return "".join(path.read_text(errors="replace") for path in self.directory.glob("agent.log*"))


class Lab:
    def __init__(self, platform: Installation, agent: StockAgent, image: str) -> None:
        self.platform, self.agent, self.image = platform, agent, image
        self.ecs = platform.client("ecs")
        self.iam = platform.client("iam")
        self.definitions = 0

    def instance(self, **wanted: Any) -> Any:
        """The one container instance, once it is like that."""

        def look() -> Any:
            arns = self.ecs.list_container_instances()["containerInstanceArns"]
            found = self.ecs.describe_container_instances(containerInstances=arns)["containerInstances"] if arns else []
            return next((one for one in found if all(one.get(name) == value for name, value in wanted.items())), None)

        return until(look, f"a container instance with {wanted}")

    def run(self, command: str, *, mode: str = "bridge", container: dict[str, Any] | None = None, **members: Any) -> str:
        """A running task's ARN."""
        self.definitions += 1
        main = {"name": "main", "image": self.image, "command": ["sh", "-c", command], "memory": 32, "essential": True}
        defined = self.ecs.register_task_definition(
            family=f"stock{self.definitions}",
            networkMode=mode,
            requiresCompatibilities=["EXTERNAL"],
            containerDefinitions=[{**main, **(container or {})}],
            **members,
        )["taskDefinition"]["taskDefinitionArn"]
        answer = self.ecs.run_task(taskDefinition=defined, launchType="EXTERNAL")
        assert not answer["failures"], answer["failures"]
        arn: str = answer["tasks"][0]["taskArn"]
        self.task(arn, "RUNNING")
        return arn

    def task(self, arn: str, status: str, **wanted: Any) -> Any:
        def look() -> Any:
            task = self.ecs.describe_tasks(tasks=[arn])["tasks"][0]
            if task["lastStatus"] == "STOPPED" != status:
                raise AssertionError(f"{arn} stopped: {task.get('stoppedReason')} {task['containers']}")
            return task if task["lastStatus"] == status and all(task.get(name) == value for name, value in wanted.items()) else None

        return until(look, f"{arn} {status} {wanted}; the agent said: {self.agent.said[-2000:]}")

    def of_service(self, *, running: int) -> list[str] | None:
        """ARNs of the service's tasks that are to run, if it runs so many."""
        service = self.ecs.describe_services(services=["stock"])["services"][0]
        tasks: list[str] = self.ecs.list_tasks(serviceName="stock")["taskArns"]
        return tasks if service["runningCount"] == running == len(tasks) else None

    def port(self, arn: str) -> int:
        bindings = self.task(arn, "RUNNING")["containers"][0]["networkBindings"]
        return int(bindings[0]["hostPort"])

    def asked(self, port: int) -> str:
        def ask() -> str:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
                return answer.read().decode() or "nothing"
            return ""

        return str(until(ask, f"an answer on port {port}"))

    def containers(self, arn: str) -> list[str]:
        """Ids of what runs for a task."""
        filters = json.dumps({"label": [f"com.amazonaws.ecs.task-arn={arn}"]})
        _, answer = docker_request("GET", f"/containers/json?filters={urllib.parse.quote(filters)}")
        return [one["Id"] for one in json.loads(answer)]

    def kill_server(self) -> None:
        state = DataDirectory(self.platform.data).read_state()
        assert state is not None
        os.kill(next(part.pid for part in state.parts if part.name == "server"), signal.SIGKILL)

    def versions(self, arn: str) -> list[int]:
        told = self.platform.longshore("events", "--since", "1h", "-o", "json")
        events = [json.loads(line) for line in told.splitlines()]
        return [event["detail"]["version"] for event in events if event["resources"] == [arn]]


WEB = "mkdir -p /www && echo from $HOSTNAME > /www/index.html && exec httpd -f -p 80 -h /www"
FOREVER = "trap 'exit 7' TERM; while :; do sleep 1 & wait $!; done"


@pytest.fixture
def lab(tmp_path: Path, free_port: Callable[..., int], base_image: str) -> Iterator[Lab]:
    platform = Installation(tmp_path, free_port())
    platform.up()
    agent = StockAgent(platform, tmp_path / "agent")
    try:
        platform.client("ecs").create_cluster(clusterName="default")
        agent.start()
        yield Lab(platform, agent, base_image)
    finally:
        agent.end()
        platform.down()
        _remove_containers(tmp_path)


def test_its_tasks_act_in_their_roles_and_in_no_other(lab: Lab, free_port: Callable[..., int]) -> None:
    lab.instance(agentConnected=True)
    trusted = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = lab.iam.create_role(RoleName="stock", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trusted]}))
    may = {"Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*"}
    lab.iam.put_role_policy(RoleName="stock", PolicyName="list", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [may]}))
    port = free_port()
    fetch = "wget -qO /www/index.html http://127.0.0.1:51679$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
    lab.run(f"mkdir -p /www && {fetch} && exec httpd -f -p {port} -h /www", mode="host", taskRoleArn=role["Role"]["Arn"])
    given = json.loads(lab.asked(port))
    assert given["RoleArn"] == role["Role"]["Arn"]
    told = lab.platform.variables()
    own = boto3.client(
        "ecs",
        endpoint_url=told["AWS_ENDPOINT_URL"],
        region_name=told["AWS_REGION"],
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["Token"],
    )
    assert own.list_clusters()["clusterArns"]
    with pytest.raises(own.exceptions.ClientError, match="not authorized to perform: ecs:ListTasks"):
        own.list_tasks()


def _remove_containers(directory: Path) -> None:
    """Whatever the agent has left: it leaves containers for whoever looks after them."""
    filters = urllib.parse.quote(json.dumps({"label": ["com.amazonaws.ecs.task-definition-family"]}))
    _, answer = docker_request("GET", f"/containers/json?all=1&filters={filters}")
    for one in json.loads(answer):
        if one["Labels"]["com.amazonaws.ecs.task-definition-family"].startswith("stock"):
            docker_request("DELETE", f"/containers/{one['Id']}?force=1&v=1")


def test_it_joins_runs_and_stops_tasks(lab: Lab) -> None:
    instance = lab.instance(agentConnected=True, status="ACTIVE")
    assert instance["versionInfo"]["agentVersion"] == "1.105.1"
    health = {"command": ["CMD-SHELL", "wget -qO- http://127.0.0.1/ > /dev/null"], "interval": 5, "retries": 2}
    web = lab.run(WEB, container={"portMappings": [{"containerPort": 80}], "healthCheck": health})
    assert lab.asked(lab.port(web)).startswith("from ")
    lab.task(web, "RUNNING", healthStatus="HEALTHY")
    host = lab.run(FOREVER, mode="host")
    once = lab.run("sleep 3; exit 3")
    ended = lab.task(once, "STOPPED")
    assert (ended["stopCode"], ended["containers"][0]["exitCode"]) == ("EssentialContainerExited", 3)
    lab.ecs.stop_task(task=host, reason="enough")
    ended = lab.task(host, "STOPPED")
    assert (ended["stoppedReason"], ended["containers"][0]["exitCode"]) == ("enough", 7)
    assert lab.containers(host) == []
    for arn in (web, host, once):
        versions = lab.versions(arn)
        assert versions == sorted(set(versions))
        assert versions[-1] == lab.ecs.describe_tasks(tasks=[arn])["tasks"][0]["version"]


def test_it_comes_back_to_a_server_that_was_killed_and_takes_up_its_tasks_when_it_was_killed_itself(lab: Lab) -> None:
    instance = lab.instance(agentConnected=True)["containerInstanceArn"]
    first, second = lab.run(FOREVER), lab.run(FOREVER)
    ids = lab.containers(first) + lab.containers(second)
    lab.kill_server()
    until(lambda: _answers(lab), "the server answers again")
    assert lab.instance(agentConnected=True)["containerInstanceArn"] == instance
    lab.ecs.stop_task(task=first)
    assert lab.task(first, "STOPPED")["containers"][0]["exitCode"] == 7
    lab.agent.end(signal.SIGKILL)
    lab.instance(agentConnected=False)
    lab.agent.start()
    assert lab.instance(agentConnected=True)["containerInstanceArn"] == instance, "it registered anew"
    lab.task(second, "RUNNING")
    assert lab.containers(second) == ids[1:], "its container was started again"
    lab.ecs.stop_task(task=second)
    lab.task(second, "STOPPED")


def _answers(lab: Lab) -> bool:
    try:
        lab.ecs.list_clusters()
    except Exception:  # noqa: BLE001 - whatever a client says of a server that starts
        return False
    return True


def test_nothing_is_placed_on_it_while_it_drains_and_it_is_left_alone_once_it_is_deregistered(lab: Lab) -> None:
    instance = lab.instance(agentConnected=True)["containerInstanceArn"]
    task = lab.run(FOREVER)
    lab.ecs.create_service(
        serviceName="stock",
        taskDefinition=f"stock{lab.definitions}",
        desiredCount=1,
        launchType="EXTERNAL",
        deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100},
    )
    of_service = until(lambda: lab.of_service(running=1), "the service runs")[0]
    lab.ecs.update_container_instances_state(containerInstances=[instance], status="DRAINING")
    with pytest.raises(lab.ecs.exceptions.InvalidParameterException, match="No Container Instances were found"):
        lab.ecs.run_task(taskDefinition=f"stock{lab.definitions}", launchType="EXTERNAL")
    assert "DRAINING" in lab.task(of_service, "STOPPED")["stoppedReason"]
    assert lab.of_service(running=0) == []
    lab.task(task, "RUNNING")
    lab.ecs.update_container_instances_state(containerInstances=[instance], status="ACTIVE")
    until(lambda: lab.of_service(running=1), "the service runs again")
    lab.ecs.update_service(service="stock", desiredCount=0)
    until(lambda: lab.of_service(running=0) == [], "the service runs no more")
    lab.ecs.delete_service(service="stock")
    lab.run(FOREVER)
    lab.ecs.deregister_container_instance(containerInstance=instance, force=True)
    until(lambda: "InactiveInstanceException" in lab.agent.said, "the agent hears that it is not registered any more")
    assert lab.agent.process is not None
    assert lab.agent.process.poll() is None, "it waits for an hour before it asks again"
    assert lab.task(task, "STOPPED")["stoppedReason"]
