"""Into real containers, with `longshore exec` and with AWS's own client and plugin; and what is told of a task afterwards.

The plugin is asked for where LONGSHORE_SESSION_MANAGER_PLUGIN names it (built from github.com/aws/session-manager-plugin).
"""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.installation import BIN, Installation

pytestmark = pytest.mark.engine("docker")

PLUGIN = os.environ.get("LONGSHORE_SESSION_MANAGER_PLUGIN", "")
_PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[..., int]) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("exec"), free_port())
    made.up(instances=1)
    try:
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def task(there: Installation, base_image: str) -> str:
    """One that has a command run in it, and says a word first."""
    return run(there, base_image, "trap 'exit 3' TERM; echo hello; while true; do sleep 0.05; done")


def run(there: Installation, image: str, script: str) -> str:
    ecs = there.client("ecs")
    container = {"name": "main", "image": image, "memory": 32, "command": ["sh", "-c", script]}
    ecs.register_task_definition(family="into", containerDefinitions=[container])
    (started,) = ecs.run_task(taskDefinition="into", enableExecuteCommand=True)["tasks"]
    arn = str(started["taskArn"])
    _until(lambda: _described(there, arn)["lastStatus"] in ("RUNNING", "STOPPED"))
    return arn


def _described(there: Installation, arn: str) -> dict[str, Any]:
    found: dict[str, Any] = there.client("ecs").describe_tasks(tasks=[arn])["tasks"][0]
    return found


def _until(condition: Any) -> None:
    ends = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < ends, "this never came true"
        time.sleep(0.1)


def longshore(there: Installation, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [str(BIN / "longshore"), *arguments]
    return subprocess.run(command, env=there.environment, input=given, capture_output=True, check=False, timeout=60)


def test_bytes_pass_and_the_exit_code_is_ours(there: Installation, task: str) -> None:
    blob = os.urandom(300_000)
    done = longshore(there, "exec", task, "--", "sh", "-c", "cat; echo oops >&2; exit 7", given=blob)
    assert (done.returncode, done.stdout, done.stderr) == (7, blob, b"oops\n")


def test_a_command_goes_when_its_client_is_killed(there: Installation, task: str) -> None:
    with subprocess.Popen(
        [str(BIN / "longshore"), "exec", task, "--", "sh", "-c", "echo begun; exec sleep 4321"],
        env=there.environment,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
    ) as client:
        assert client.stdout is not None and client.stdout.readline() == b"begun\n"
        assert b"4321" in longshore(there, "exec", task, "--", "ps").stdout
        client.kill()

    def processes() -> bytes:
        listed = longshore(there, "exec", task, "--", "ps")
        assert listed.returncode == 0 and b"ps" in listed.stdout
        return listed.stdout

    _until(lambda: b"4321" not in processes())


def typed(there: Installation, command: list[str], *lines: bytes) -> bytes:
    """What a program says on a terminal of its own when `lines` are typed into it, each after it has said something."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, there.environment | {"TERM": "dumb"})
    told = _heard(terminal, b"#")
    for line in lines:
        os.write(terminal, line)
        told += _heard(terminal, b"#")
    os.waitpid(pid, 0)
    os.close(terminal)
    return told


def _heard(terminal: int, end: bytes) -> bytes:
    told, ends = b"", time.monotonic() + _PATIENCE_S
    while time.monotonic() < ends and not told.rstrip().endswith(end):
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            piece = os.read(terminal, 65_536)
        except OSError:
            return told
        if not piece:
            return told
        told += piece.replace(b"\x1b[6n", b"").replace(b"\x1b[J", b"")
    return told


def test_a_shell_has_a_terminal(there: Installation, task: str) -> None:
    told = typed(there, [str(BIN / "longshore"), "exec", task, "sh"], b"tty=$(test -t 0 && echo yes); echo =$tty=\n", b"exit\n")
    assert b"=yes=" in told


@pytest.mark.skipif(not PLUGIN, reason="LONGSHORE_SESSION_MANAGER_PLUGIN names no session-manager-plugin")
def test_awss_own_client_and_plugin_get_along_with_it(there: Installation, task: str) -> None:
    told = there.variables()
    there.environment |= {name: told[name] for name in told if name.startswith("AWS_") and name != "AWS_PROFILE"}
    there.environment["PATH"] = f"{Path(PLUGIN).parent}:{there.environment['PATH']}"
    command = [str(BIN / "aws"), "ecs", "execute-command", "--task", task, "--interactive", "--command", "sh"]
    told_us = typed(there, command, b"echo =$((6*7))=\n", b"exit\n")
    assert b"=42=" in told_us and b"Exiting session with sessionId: ecs-execute-command-" in told_us


def test_what_it_wrote_can_be_read(there: Installation, task: str) -> None:
    assert longshore(there, "task", "logs", task, "-n", "1").stdout == b"hello\n"


def test_the_end_of_a_task_is_told_with_its_last_words(there: Installation, base_image: str) -> None:
    arn = run(there, base_image, "echo first; echo last words >&2; exit 5")
    _until(lambda: _described(there, arn)["lastStatus"] == "STOPPED")
    beginning = arn.rpartition("/")[2][:10]
    page = there.longshore("task", "show", beginning)
    assert "exit code 5" in page and "│ last words" in page and "│ first" in page
    record = json.loads(there.longshore("task", "show", beginning, "-o", "json"))
    assert record["containers"][0]["exitCode"] == 5 and record["task"]["stopCode"] == "EssentialContainerExited"
    (line,) = json.loads(there.longshore("task", "list", "--failed", "-o", "json"))
    assert (line["taskArn"], line["why"]) == (arn, "main: exit code 5")
