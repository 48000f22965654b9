"""What is kept of decisions while somebody records them: each call once, bounded, and still there after a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from longshore.aws.errors import Validation
from longshore.gateway.authorise import Access, ResourceSide
from longshore.kit.clock import SteppedClock
from longshore.services.call import Principal, Session
from longshore.services.iam import model as iam
from longshore.services.iam import recording
from longshore.services.iam.identities import root_principal
from longshore.services.iam.policy import Policy
from longshore.services.iam.recording import MOST_CALLS, MOST_OF_A_KIND, Recorder
from longshore.services.iam.recording_model import KINDS, RECORDED_CALLS, RECORDINGS, Change, RecordedCall, Recording
from longshore.store.base import Reader, Store
from longshore.store.memory import memory_store

ACCOUNT = "123456789012"
ANN = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ann", "AIDAANNANNANNANNANNAN", "AKIAANN")
ROOT = root_principal(ACCOUNT, "AKIAROOT")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ci"


def session(name: str) -> Principal:
    made = Session(ROLE, "AROACICICICICICICICIC", 0.0, 1e12, "")
    return Principal(
        ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/{name}", f"AROACICICICICICICICIC:{name}", f"ASIA{name}", session=made
    )


def ecs(resource: str) -> str:
    return f"arn:aws:ecs:us-east-1:{ACCOUNT}:{resource}"


def _none(reader: Reader, arn: str) -> tuple[Policy, ...]:
    return ()


def _tags(reader: Reader, arn: str) -> Mapping[str, Sequence[str]]:
    """Another team's as soon as there is a user."""
    return {"aws:resourcetag/team": ["edge" if reader.count(iam.USERS) else "web"]}


class Watched:
    """A store, who decides over it, and who records that."""

    def __init__(self, store: Store | None = None, clock: SteppedClock | None = None) -> None:
        self.store = store if store is not None else memory_store((*iam.KINDS, *KINDS))
        self.clock = clock or SteppedClock()
        self.recorder = Recorder(self.store, self.clock)
        self.access = Access(self.store, self.clock, {"ecs": ResourceSide(_none, _tags)}, self.recorder)

    async def start(self, *principals: str, name: str = "r", seconds: float = 3600, **more: Any) -> Recording:
        now = self.clock.now()
        made = Recording(ACCOUNT, name, now, ANN.arn, principals, now + seconds, **more)
        await self.store.transact(lambda tx: tx.put(RECORDINGS, made))
        self.recorder.look()
        return made

    async def allow(self, owner: str, **statement: Any) -> None:
        document = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", **statement}})
        await self.store.transact(lambda tx: tx.put(iam.INLINE_POLICIES, iam.InlinePolicy(owner, "own", document)))

    async def calls(self) -> list[RecordedCall]:
        await self.recorder.flush()
        return self.store.list(RECORDED_CALLS)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    made = Watched()
    yield made
    await made.store.close()


async def test_nothing_is_kept_while_nothing_is_recorded(watched: Watched) -> None:
    assert not watched.recorder.listens
    watched.access.denial(ANN, "ecs:ListTasks", "*")
    assert await watched.calls() == []


async def test_a_call_is_kept_once_with_how_often_it_came_also_from_memory(watched: Watched) -> None:
    await watched.start()
    await watched.allow(ANN.arn, Action="ecs:List*")
    for _ in range(3):
        assert watched.access.denial(ANN, "ecs:ListTasks", ecs("cluster/a"), source_ip="10.0.0.1") is None
        await watched.clock.step(1)
    assert watched.access.denial(ANN, "ecs:RunTask", ecs("cluster/a"), source_ip="10.0.0.1") is not None
    denied, allowed = sorted(await watched.calls(), key=lambda one: one.allowed)
    assert (allowed.action, allowed.resource, allowed.allowed, allowed.denied) == ("ecs:ListTasks", ecs("cluster/a"), 3, 0)
    assert (denied.action, denied.allowed, denied.denied) == ("ecs:RunTask", 0, 1)
    assert allowed.last_at - allowed.first_at == 2
    circumstances = dict(allowed.circumstances)
    assert circumstances["aws:sourceip"] == ("10.0.0.1",) and circumstances["aws:resourcetag/team"] == ("web",)
    assert not circumstances.keys() & recording.NOT_KEPT


async def test_circumstances_that_differ_make_another_call(watched: Watched) -> None:
    await watched.start()
    for cluster in ("a", "b", "a"):
        asked = {"ecs:cluster": [ecs(f"cluster/{cluster}")]}
        watched.access.denial(ANN, "ecs:RunTask", ecs("task-definition/app:1"), conditions=lambda asked=asked: asked)
    assert sorted(one.denied for one in await watched.calls()) == [1, 2]


async def test_a_resource_that_is_tagged_anew_makes_another_call_though_the_question_is_remembered(watched: Watched) -> None:
    await watched.start()
    watched.access.denial(ANN, "ecs:ListTasks", ecs("cluster/a"))
    await watched.store.transact(lambda tx: tx.put(iam.USERS, iam.User(ACCOUNT, "ann", ANN.user_id, 0.0)))
    watched.access.denial(ANN, "ecs:ListTasks", ecs("cluster/a"))
    assert [one.denied for one in await watched.calls()] == [1, 1]


async def test_the_program_is_kept_and_tells_no_call_from_another(watched: Watched) -> None:
    await watched.start()
    for agent in ("Boto3 m/a,b", "Boto3 m/b,a"):
        watched.access.denial(ANN, "ecs:ListTasks", "*", user_agent=agent)
    (call,) = await watched.calls()
    assert (call.denied, call.user_agent) == (2, "Boto3 m/b,a")


async def test_a_request_that_makes_no_sense_is_for_others_to_refuse(watched: Watched) -> None:
    def none() -> Mapping[str, Sequence[str]]:
        raise Validation("no such thing")

    await watched.start()
    assert watched.access.denial(ROOT, "ecs:RunTask", "*", conditions=none) is None
    assert [(one.allowed, one.circumstances) for one in await watched.calls()] == [(1, ())]


async def test_sessions_count_as_their_role_and_others_are_left_out(watched: Watched) -> None:
    await watched.start(ROLE)
    for who in (session("one"), session("two"), ANN):
        watched.access.denial(who, "ecs:ListTasks", "*")
    (call,) = await watched.calls()
    assert (call.principal, call.denied, call.session_name) == (ROLE, 2, "two")


async def test_another_accounts_decisions_are_not_this_accounts(watched: Watched) -> None:
    await watched.start()
    watched.access.denial(Principal("210987654321", "arn:aws:iam::210987654321:user/eve", "AIDAEVE", "AKIAEVE"), "ecs:ListTasks", "*")
    assert await watched.calls() == []


async def test_it_ends_at_its_time_and_when_it_is_stopped(watched: Watched) -> None:
    made = await watched.start(seconds=60)
    watched.access.denial(ANN, "ecs:ListTasks", "*")
    await watched.clock.step(61)
    watched.access.denial(ANN, "ecs:ListTasks", "*")
    (call,) = await watched.calls()
    assert call.denied == 1
    watched.recorder.look()
    assert not watched.recorder.listens
    assert not made.runs(watched.clock.now())


async def test_what_was_seen_is_written_within_half_a_second_and_goes_on_after_a_restart(watched: Watched) -> None:
    await watched.start()
    job = asyncio.create_task(watched.recorder.run())
    await asyncio.sleep(0)
    watched.access.denial(ANN, "ecs:ListTasks", "*")
    await watched.clock.step(recording.WRITTEN_EVERY_S)
    assert [one.denied for one in watched.store.list(RECORDED_CALLS)] == [1]
    job.cancel()
    again = Watched(watched.store, watched.clock)
    assert again.recorder.listens
    again.access.denial(ANN, "ecs:ListTasks", "*")
    assert [one.denied for one in await again.calls()] == [2]


async def test_of_very_many_of_a_kind_the_rest_is_kept_as_their_pattern(watched: Watched) -> None:
    await watched.start()
    for number in range(MOST_OF_A_KIND + 50):
        watched.access.denial(ANN, "ecs:StopTask", ecs(f"task/web/{number:032x}"))
    calls = await watched.calls()
    (pattern,) = [one for one in calls if one.is_pattern]
    assert (len(calls), pattern.resource, pattern.denied) == (MOST_OF_A_KIND + 1, ecs("task/web/*"), 50)


async def test_what_there_is_no_room_for_is_counted_and_named(watched: Watched) -> None:
    made = await watched.start()
    for number in range(MOST_CALLS + 7):
        watched.access.denial(ANN, "ecs:DescribeClusters", ecs(f"cluster/{number}"))
    watched.access.denial(ANN, "ecs:RunTask", ecs(f"task-definition/{'x' * 3000}:1"))
    assert len(await watched.calls()) == MOST_CALLS
    kept = watched.store.get(RECORDINGS, made.key)
    assert kept is not None
    assert (kept.dropped, kept.dropped_actions) == (8, ("ecs:DescribeClusters", "ecs:RunTask"))


async def test_a_recording_that_is_gone_takes_what_was_not_yet_written_along(watched: Watched) -> None:
    made = await watched.start()
    watched.access.denial(ANN, "ecs:ListTasks", "*")
    await watched.store.transact(lambda tx: tx.delete(RECORDINGS, made.key))
    assert await watched.calls() == []
    watched.recorder.look()
    assert not watched.recorder.listens


async def test_changed_policies_are_tried_on_every_call_in_its_own_circumstances(watched: Watched) -> None:
    await watched.allow(ANN.arn)
    only_here = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
    document = json.dumps({"Version": "2012-10-17", "Statement": only_here})
    await watched.start(changes=(Change("put", ANN.arn, "own", document=document),))
    for address in ("10.1.2.3", "192.0.2.1", "192.0.2.1"):
        assert watched.access.denial(ANN, "ecs:ListTasks", "*", source_ip=address) is None
    assert sorted((one.allowed, one.would_deny, one.would_say) for one in await watched.calls()) == [
        (1, 0, ""),
        (2, 2, "no identity-based policy allows it"),
    ]
