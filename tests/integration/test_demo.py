"""The demo from end to end, as a user would run it: a platform of its own, real clients, real containers, real traffic."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "01-first-service" / "demo.sh"
LONGSHORE = Path(sys.executable).with_name("longshore")

pytestmark = [pytest.mark.engine("docker", "haproxy", "aws", "curl"), pytest.mark.timeout(420)]


@dataclass(frozen=True)
class Stage:
    """Where the demo plays: nothing of the user's own settings is read or changed."""

    environment: dict[str, str]

    def run(self, *command: str | Path, timeout_s: float = 180) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def instance_ids(self) -> list[str]:
        status = json.loads(self.run(LONGSHORE, "status", "-o", "json").stdout)
        return [instance["instance_id"] for instance in status["instances"]]

    def containers(self, instance_ids: list[str], *options: str) -> list[str]:
        found = [self.run("docker", "ps", "-q", *options, "--filter", f"label=longshore.instance={each}").stdout for each in instance_ids]
        return "".join(found).split()


@pytest.fixture
def stage(tmp_path: Path, free_port: Callable[..., int], docker_url: str) -> Iterator[Stage]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LONGSHORE_", "LISTENER_"))}
    port = free_port()
    own = Stage(
        {
            **kept,
            "HOME": str(tmp_path),
            "LONGSHORE_DATA_DIR": str(tmp_path / "data"),
            "LONGSHORE_PORT": str(port),
            "LISTENER_PORT": str(free_port()),
            "DOCKER_HOST": docker_url,
            "DOCKER_CONFIG": str(tmp_path / "docker"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    )
    yield own
    instance_ids = [path.read_text() for path in tmp_path.glob("data/agents/*/instance-id")]
    own.run(LONGSHORE, "down")
    left = own.containers(instance_ids, "--all")
    if left:
        own.run("docker", "rm", "--force", "--volumes", *left)
    own.run("docker", "rmi", "--force", f"127.0.0.1:{port}/demo/hello:1")


def test_the_demo_shows_what_it_promises_and_can_be_run_again(stage: Stage) -> None:
    first = stage.run(DEMO)
    assert first.returncode == 0, first.stdout
    _shows_three_tasks_in_two_zones_and_a_replacement(first.stdout)
    assert "\x1b" not in first.stdout, "plain lines where there is no terminal"

    again = stage.run(DEMO)
    assert again.returncode == 0, again.stdout
    assert "It runs already." in again.stdout
    assert "the new revision rolls out" in again.stdout
    _shows_three_tasks_in_two_zones_and_a_replacement(again.stdout)

    instance_ids = stage.instance_ids()
    assert len(instance_ids) == 3
    assert len(stage.containers(instance_ids)) == 4, "three of demo-web and one of demo-api are left running"
    down = stage.run(LONGSHORE, "down")
    assert down.returncode == 0, down.stdout
    assert stage.containers(instance_ids) == []


def test_the_demo_says_why_when_the_platform_cannot_start(stage: Stage) -> None:
    stage.environment["LONGSHORE_HAPROXY"] = "/nowhere/haproxy"
    failed = stage.run(DEMO)
    assert failed.returncode != 0
    assert "/nowhere/haproxy" in failed.stdout
    assert "demo: step 1" in failed.stdout


def _shows_three_tasks_in_two_zones_and_a_replacement(text: str) -> None:
    rows = re.findall(r"^   task (\w+)  (\S+)  instance (\w+)  container (\w+) +([0-9]+) answers$", text, re.MULTILINE)
    assert len(rows) == 3, text
    assert all(int(answers) > 0 for *_, answers in rows), text
    assert {zone for _, zone, *_ in rows} == {"us-east-1a", "us-east-1b"}
    assert '"service": "api"' in text
    killed = re.search(r"docker kill (\w+)", text)
    assert killed is not None
    after = text.partition("three tasks run again")[2]
    running = set(re.findall(r"^   task \w+  \S+  instance \w+  container (\w+)$", after, re.MULTILINE))
    assert len(running) == 3
    assert killed[1] not in running
    assert "has reached a steady state" in after
