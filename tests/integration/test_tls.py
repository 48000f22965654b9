"""HTTPS end to end: the platform as a user starts it, with the aws command, policies, an agent and a task of Docker Engine behind it."""

from __future__ import annotations

import http.client
import json
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from longshore.kit.certificates import Authority, facts
from longshore.kit.keyring_file import KeyringFile
from longshore.kit.private_keys import read_locked
from tests.integration.installation import BIN, Installation

pytestmark = [pytest.mark.engine("haproxy")]


@pytest.fixture
def house(tmp_path: Path, free_port: Callable[..., int]) -> Iterator[Installation]:
    house = Installation(tmp_path, free_port())
    yield house
    if (house.data / "run" / "state.json").exists():
        house.down()


def served(house: Installation, host: str = "localhost") -> str:
    """The fingerprint of what the port proves itself with, to one who trusts the installation's authority."""
    context = ssl.create_default_context(cafile=house.ca)
    connection = http.client.HTTPSConnection(host, house.port, context=context, timeout=10)
    connection.connect()
    der = connection.sock.getpeercert(binary_form=True)
    connection.close()
    return facts(ssl.DER_cert_to_PEM_cert(der).encode()).fingerprint


def pulled(connection: http.client.HTTPConnection, login: str) -> tuple[int, str]:
    """Status and code of the error that a pull of web:1 ends with."""
    connection.request("GET", "/v2/web/manifests/1", headers={"Authorization": f"Basic {login}"})
    response = connection.getresponse()
    code: str = json.loads(response.read())["errors"][0]["code"]
    connection.close()
    return response.status, code


def until(holds: Callable[[], bool], within_s: float = 20.0) -> None:
    ends = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.mark.engine("aws")
def test_it_is_remembered_until_it_is_taken_back_and_every_command_knows(house: Installation) -> None:
    said = house.up("--tls")
    assert f"endpoint        https://127.0.0.1:{house.port}" in said and str(house.ca) in said
    told = house.variables()
    assert told["AWS_CA_BUNDLE"] == str(house.ca)
    # By the profile alone: its endpoint, its keys and what it trusts.
    by_profile = {"AWS_PROFILE": "longshore"}
    asked = ("aws", "sts", "get-caller-identity", "--query", "Arn", "--output", "text")
    assert house.run(*asked, **by_profile) == "arn:aws:iam::000000000000:root\n"
    assert json.loads(house.longshore("status", "-o", "json"))["status"] == "running"
    first = served(house)
    house.down()
    house.up()
    assert served(house) == first
    house.down()
    assert "endpoint        http://127.0.0.1" in house.up("--no-tls")
    assert "AWS_CA_BUNDLE" not in house.variables()
    assert house.run(*asked, **by_profile) == "arn:aws:iam::000000000000:root\n"
    house.down()
    house.up("--tls", "--tls-name", "box.example")
    assert served(house) != first and house.longshore("ca").encode() == house.ca.read_bytes()


def test_policies_can_ask_for_https(house: Installation) -> None:
    house.up("--tls")
    iam = house.client("iam")
    iam.create_user(UserName="careful")
    key = iam.create_access_key(UserName="careful")["AccessKey"]
    demand = {"Bool": {"aws:SecureTransport": "true"}}
    statement = {"Effect": "Allow", "Action": "ecr:*", "Resource": "*", "Condition": demand}
    iam.put_user_policy(UserName="careful", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    keys = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    careful = house.client("ecr", **keys)
    careful.create_repository(repositoryName="web")
    login = careful.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    secure = http.client.HTTPSConnection("127.0.0.1", house.port, context=ssl.create_default_context(cafile=house.ca))
    assert pulled(secure, login) == (404, "MANIFEST_UNKNOWN")
    house.down()
    house.up("--no-tls")
    with pytest.raises(ClientError, match="AccessDenied"):
        house.client("ecr", **keys).describe_repositories()
    assert pulled(http.client.HTTPConnection("127.0.0.1", house.port), login) == (403, "DENIED")


def test_given_files_are_served_and_read_again_when_they_change(house: Installation, tmp_path: Path) -> None:
    theirs, file = Authority.make("theirs", time.time()), tmp_path / "server.pem"
    file.write_bytes(theirs.issue(["localhost"], time.time()))
    assert f"endpoint        https://localhost:{house.port}" in house.up("--tls-certificate", str(file))
    house.ca.parent.mkdir(exist_ok=True)
    house.ca.write_bytes(theirs.root_pem)
    first = served(house)
    assert first == facts(file.read_bytes()).fingerprint
    file.write_bytes(b"half written")
    file.write_bytes(theirs.issue(["localhost"], time.time()))
    until(lambda: served(house) != first)
    assert house.client("sts").get_caller_identity()["Account"] == "000000000000"
    house.down()
    file.write_bytes(theirs.issue(["localhost"], time.time() - 100 * 86_400, days=1))
    refused = house.longshore("up", "--detach", fails=True)
    assert "cannot be used: the certificate ended on" in refused and "→" in refused


def test_a_certificate_that_ended_while_nothing_ran_is_issued_anew(house: Installation) -> None:
    house.up("--tls")
    house.down()
    authority = Authority.of_pem(*read_locked(house.data / "tls" / "authority.pem", KeyringFile(house.data).look()))
    (house.data / "tls" / "server.pem").write_bytes(authority.issue(["127.0.0.1", "localhost"], time.time() - 100 * 86_400, days=1))
    house.up()
    assert served(house) and served(house, "127.0.0.1")


def test_ctrl_c_ends_it_although_clients_are_connected(house: Installation) -> None:
    house.data.parent.mkdir(exist_ok=True)
    command = [BIN / "longshore", "up", "--tls", "--instances", "0", "--port", str(house.port)]
    with (
        subprocess.Popen(command, env=house.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=house.home) as process,
        ExitStack() as idle,
    ):
        assert process.stdout is not None
        # Before it says so it is still starting, and Ctrl-C breaks that off.
        assert any(b"Stop it: Ctrl-C" in line for line in process.stdout)
        context = ssl.create_default_context(cafile=house.ca)
        for method in ("POST", "GET", "POST"):
            connection = idle.enter_context(closing(http.client.HTTPSConnection("127.0.0.1", house.port, context=context, timeout=10)))
            connection.request(method, "/")
            connection.getresponse().read()
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert time.monotonic() - began < 7.0


@pytest.mark.engine("docker")
def test_a_task_runs_from_an_image_of_the_registry_and_instances_stay_when_https_comes(
    house: Installation, base_image: str, unique_name: Callable[[str], str]
) -> None:
    house.environment["DOCKER_CONFIG"] = str(house.home / "docker")
    house.up("--no-tls", instances=1)
    ecs = house.client("ecs")
    before = ecs.list_container_instances()["containerInstanceArns"]
    house.down()
    house.up("--tls", instances=1)
    ecs, ecr = house.client("ecs"), house.client("ecr")
    assert ecs.list_container_instances()["containerInstanceArns"] == before
    uri = ecr.create_repository(repositoryName=unique_name("tls"))["repository"]["repositoryUri"]
    assert house.longshore("ecr-login", "--with", "docker") == f"logged in to {house.registry}\n"
    house.run("docker", "tag", base_image, f"{uri}:1")
    house.run("docker", "push", "--quiet", f"{uri}:1")
    house.run("docker", "image", "rm", f"{uri}:1")
    container = {"name": "main", "image": f"{uri}:1", "command": ["sleep", "600"], "memory": 16, "stopTimeout": 2}
    ecs.register_task_definition(family="tls", containerDefinitions=[container])
    task = ecs.run_task(taskDefinition="tls")["tasks"][0]["taskArn"]
    ecs.get_waiter("tasks_running").wait(tasks=[task], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    [container] = ecs.describe_tasks(tasks=[task])["tasks"][0]["containers"]
    house.down()
    house.run("docker", "rm", "--force", container["runtimeId"])
    house.run("docker", "image", "rm", "--force", f"{uri}:1")
