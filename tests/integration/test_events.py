"""`longshore events -f` on a real platform that is stopped, started and killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore.config import DataDirectory
from tests.integration.installation import BIN, Installation

PATIENCE_S = 30.0


@pytest.fixture
def platform(tmp_path: Path, free_port: Callable[..., int]) -> Iterator[Installation]:
    running = Installation(tmp_path, free_port())
    running.up()
    yield running
    running.down()


class Follower:
    def __init__(self, platform: Installation, *options: str) -> None:
        self._file = platform.home / "followed.jsonl"
        self._output = self._file.open("wb")
        command = [str(BIN / "longshore"), "events", "-f", "--since", "1h", "-o", "json", *options]
        self._process = subprocess.Popen(command, env=platform.environment, stdout=self._output, stderr=subprocess.PIPE)

    def events(self, count: int) -> list[dict[str, Any]]:
        """All that was told, once it is so many."""
        ends = time.monotonic() + PATIENCE_S
        while True:
            told = [json.loads(line) for line in self._file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
            if len(told) >= count:
                return told
            assert time.monotonic() < ends, told
            assert self._process.poll() is None, self._process.stderr and self._process.stderr.read()
            time.sleep(0.05)

    def end(self) -> str:
        self._process.terminate()
        _, notes = self._process.communicate(timeout=10)
        self._output.close()
        return notes.decode()


def register(platform: Installation, number: int) -> str:
    document = {"instanceId": f"i-{number:017x}", "privateIp": f"10.0.0.{number}", "availabilityZone": "us-east-1a", "instanceType": "x"}
    amounts = [{"name": name, "type": "INTEGER", "integerValue": 512} for name in ("CPU", "MEMORY")]
    registered = platform.client("ecs").register_container_instance(
        instanceIdentityDocument=json.dumps(document), instanceIdentityDocumentSignature="", totalResources=amounts
    )
    arn: str = registered["containerInstance"]["containerInstanceArn"]
    return arn


def test_following_goes_on_over_a_restart_and_over_a_kill_without_a_gap_or_an_event_twice(platform: Installation) -> None:
    ecs = platform.client("ecs")
    ecs.create_cluster(clusterName="default")
    first = register(platform, 1)
    follower = Follower(platform, "--type", "instance")
    arns = [first, register(platform, 2)]
    follower.events(2)
    platform.down()
    platform.up()
    arns.append(register(platform, 3))
    follower.events(len(arns))
    state = DataDirectory(platform.data).read_state()
    assert state is not None
    os.kill(next(part.pid for part in state.parts if part.name == "server"), signal.SIGKILL)
    ends = time.monotonic() + PATIENCE_S
    while True:
        try:
            arns.append(register(platform, 4))
            break
        except Exception:  # noqa: BLE001 - whatever a client says of a server that starts
            assert time.monotonic() < ends
            time.sleep(0.1)
    told = follower.events(len(arns))
    assert [event["resources"][0] for event in told] == arns
    assert len({event["id"] for event in told}) == len(told)
    assert follower.end().count("the platform does not answer; waiting for it") >= 1
    shown = platform.longshore("events", "--since", "10m", "--instance", first)
    assert shown.count("ACTIVE  not connected  512 CPU units and 512 MiB left") == 1
