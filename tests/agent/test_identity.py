"""Who is at a port: yes or no to who knows the task, and nothing to anybody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from longshore.agent import messages
from longshore.agent.identity import ELSEWHERE, HERE, Identity
from longshore.agent.metadata.limits import LOOKUPS_AT_ONCE
from longshore.kit.clock import SteppedClock

TASK_ID = "0123456789abcdef" * 2
ARN = f"arn:aws:ecs:us-east-1:123456789012:task/default/{TASK_ID}"


class Record:
    def __init__(self, *bindings: dict[str, object]) -> None:
        self.bindings = msgspec.Raw(msgspec.json.encode(bindings)) if bindings else msgspec.Raw(b"")


class Job:
    """What is asked of a task."""

    def __init__(self, status: str = "RUNNING", interface: bool = False, **binding: object) -> None:
        interfaces = (messages.NetworkInterface(attachment_arn="a"),) if interface else None
        self.task = messages.Task(
            arn=ARN,
            desired_status="RUNNING",
            family="web",
            version="1",
            containers=(),
            network_mode="awsvpc" if interface else "bridge",
            elastic_network_interfaces=interfaces,
        )
        self.seen = {"main": None}
        self.record = self
        self.containers = {"main": Record({"bindIP": "127.0.0.1", "protocol": "tcp", **binding}) if binding else Record()}
        self._status = status

    def container_status(self, name: str) -> str:
        return self._status


def answer(question: str, job: Job | None) -> bytes:
    identity = Identity("127.0.0.1", Path("/nowhere"), SteppedClock())
    identity.jobs = {ARN: job} if job is not None else {}  # type: ignore[dict-item]
    return identity.answer(question.encode())


@pytest.mark.parametrize(
    ("port", "job", "expected"),
    [
        (40000, Job(containerPort=80, hostPort=40000), HERE),
        (40001, Job(containerPort=80, hostPort=40000), ELSEWHERE),
        (80, Job(containerPort=80, hostPort=40000), ELSEWHERE),
        (40000, Job("STOPPED", containerPort=80, hostPort=40000), ELSEWHERE),
        (40000, Job("", containerPort=80, hostPort=40000), ELSEWHERE),
        (40007, Job(containerPortRange="1-8", hostPortRange="40000-40007"), HERE),
        (40008, Job(containerPortRange="1-8", hostPortRange="40000-40007"), ELSEWHERE),
        (80, Job(), ELSEWHERE),
        (80, Job(interface=True), HERE),
        (80, Job("STOPPED", interface=True), ELSEWHERE),
        (40000, None, ELSEWHERE),
    ],
)
def test_a_task_is_where_a_running_container_of_it_has_the_port(port: int, job: Job | None, expected: bytes) -> None:
    assert answer(f"{TASK_ID}/{port}!", job) == expected


@pytest.mark.parametrize(
    "question",
    [
        *("!", "/80!", f"{TASK_ID}/!", f"{TASK_ID}/0!", f"{TASK_ID}/123456!", f"{TASK_ID}/80", f"{TASK_ID}/80!!", f"../{TASK_ID}/80!"),
        *(f"{TASK_ID.upper()}/80!", f"{TASK_ID}/\uff18!", f"{TASK_ID}\n/80!", "a" * 65 + "/80!"),
    ],
)
def test_what_is_no_question_has_no_answer(question: str) -> None:
    assert answer(question, Job(containerPort=80, hostPort=80)) == b""


def test_nothing_is_said_before_the_tasks_are_known() -> None:
    assert Identity("127.0.0.1", Path("/nowhere"), SteppedClock()).answer(f"{TASK_ID}/80!".encode()) == b""


@pytest.fixture
async def identity(tmp_path: Path) -> AsyncIterator[Identity]:
    identity = Identity("127.0.0.1", tmp_path / "port", SteppedClock())
    identity.jobs = {ARN: Job(containerPort=80, hostPort=40000)}  # type: ignore[dict-item]
    await identity.open()
    yield identity
    await identity.close()


async def heard(port: int, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(question)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_it_answers_once_and_closes(identity: Identity) -> None:
    assert await heard(identity.port, f"{TASK_ID}/40000!".encode()) == HERE
    assert await heard(identity.port, f"{TASK_ID}/40001!".encode() * 2) == ELSEWHERE


async def test_noise_and_floods_are_not_answered(identity: Identity) -> None:
    assert await heard(identity.port, b"x" * 100_000) == b""
    assert await heard(identity.port, b"\x00\xff!") == b""
    question = f"{TASK_ID}/40000!".encode()
    answers = [await heard(identity.port, question) for _ in range(int(LOOKUPS_AT_ONCE) + 2)]
    assert answers[0] == HERE and answers[-1] == b""


async def test_it_keeps_its_port_over_a_restart(tmp_path: Path) -> None:
    ports = []
    for _ in range(2):
        identity = Identity("127.0.0.1", tmp_path / "port", SteppedClock())
        await identity.open()
        ports.append(identity.port)
        await identity.close()
    assert ports[0] == ports[1] > 0


async def test_a_broken_file_or_an_address_that_is_not_ours_breaks_nothing(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("everywhere")
    identity = Identity("127.0.0.1", tmp_path / "port", SteppedClock())
    await identity.open()
    assert identity.port
    await identity.close()
    elsewhere = Identity("192.0.2.1", tmp_path / "other", SteppedClock())
    await elsewhere.open()
    assert elsewhere.port == 0
