"""A host's copy of what a balancer reads: its own view of health stays its own, and what it writes is reported once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from longshore.balancer.hosts.replica import Replica
from longshore.kit.resource import Kind
from longshore.services.elbv2.feed import Row, Rows
from longshore.services.elbv2.model import TARGETS, Target, TargetHealth, target_key

GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/0123456789abcdef"
KEY = target_key(GROUP, "10.0.0.1", 80)
TARGET = Target(
    target_group_arn=GROUP, id="10.0.0.1", port=80, address="10.0.0.1", registered_at=3.0, health=TargetHealth("healthy", since=4.0)
)
DOWN = TargetHealth("unhealthy", "Target.Timeout", "Request timed out", since=5.0)


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    made = Replica(b"k" * 32)
    yield made
    await made.close()


def row(kind: Kind[Any], value: Any) -> Row:
    return Row(kind.name, kind.key(value), msgspec.Raw(msgspec.json.encode(value)))


async def test_a_host_believes_its_own_eyes(replica: Replica) -> None:
    await replica.take(Rows((row(TARGETS, TARGET),), everything=True))
    assert replica.get(TARGETS, KEY).health.state == "initial"
    await replica.transact(lambda tx: tx.put(TARGETS, replace(tx.get(TARGETS, KEY), health=DOWN)))
    await replica.take(Rows((row(TARGETS, TARGET),)))
    assert replica.get(TARGETS, KEY).health == DOWN
    again = replace(TARGET, registered_at=9.0)
    await replica.take(Rows((row(TARGETS, again),)))
    assert replica.get(TARGETS, KEY).health.state == "initial"


async def test_what_it_writes_is_reported_once_and_everything_when_asked(replica: Replica) -> None:
    await replica.take(Rows((row(TARGETS, TARGET),), everything=True))
    assert replica.report() is None
    await replica.transact(lambda tx: tx.put(TARGETS, replace(tx.get(TARGETS, KEY), health=DOWN)))
    report = replica.report()
    assert report is not None and report.health == {KEY: DOWN} and replica.report() is None
    replica.everything()
    again = replica.report()
    assert again is not None and again.health == {KEY: DOWN}


async def test_the_end_of_a_drained_target_names_its_deregistration(replica: Replica) -> None:
    await replica.take(Rows((row(TARGETS, replace(TARGET, deregistered_at=7.0)),), everything=True))
    await replica.transact(lambda tx: tx.delete(TARGETS, KEY))
    report = replica.report()
    assert report is not None and report.drained == {KEY: 7.0}


async def test_what_is_not_told_any_more_goes_and_is_no_report(replica: Replica) -> None:
    await replica.take(Rows((row(TARGETS, TARGET),), everything=True))
    await replica.take(Rows((), everything=True))
    assert replica.list(TARGETS) == [] and replica.report() is None
