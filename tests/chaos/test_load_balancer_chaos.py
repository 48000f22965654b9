"""Targets replaced by the dozen, their processes killed, rules changed in between: nobody who asks notices.

Clients keep their connections and begin new ones, some ask for what takes a while, some pause between two requests. A target is
deregistered, and the moment its row is gone its process is killed: nothing else waits for anything. `make chaos` does it with
more of everything (LONGSHORE_CHAOS_S).
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from longshore.services.elbv2.model import RULES, TARGETS, Target, TargetGroup, target_key
from tests.balancer.lab import Client, Lab, fixed, forward, laboratory, paths, until
from tests.chaos.mortal_servers import Nursery

pytestmark = pytest.mark.engine("haproxy")

_SCALE = max(1.0, float(os.environ.get("LONGSHORE_CHAOS_S", "0")) / 15)
REPLACEMENTS = int(40 * _SCALE)
RELOADS = int(6 * _SCALE)
STANDING = 3


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path / "haproxy") as lab:
        yield lab


class Fleet:
    """Servers of one target group, each a process."""

    def __init__(self, lab: Lab, group: TargetGroup, nursery: Nursery) -> None:
        self._lab = lab
        self._group = group
        self._nursery = nursery
        self.ports: list[int] = []

    async def add(self) -> None:
        port = self._nursery.bear()
        row = Target(self._group.arn, "127.0.0.1", port, self._lab.clock.now(), "127.0.0.1")
        await self._lab.store.transact(lambda tx: tx.put(TARGETS, row))
        await until(lambda: (found := self._row(port)) is not None and found.health.state == "healthy")
        self.ports.append(port)

    async def replace_oldest(self) -> None:
        await self.add()
        port = self.ports.pop(0)
        row = self._row(port)
        assert row is not None
        left = replace(row, deregistered_at=self._lab.clock.now())
        await self._lab.store.transact(lambda tx: tx.put(TARGETS, left))
        await until(lambda: self._row(port) is None)
        self._nursery.kill(port)

    def _row(self, port: int) -> Target | None:
        return self._lab.store.get(TARGETS, target_key(self._group.arn, "127.0.0.1", port))


class Clients:
    """Ask until they are told to stop, and tell what they saw."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._over = asyncio.Event()
        self.seen: Counter[str] = Counter()

    async def ask_on(self, path: str, pause_s: float = 0.0, keep: bool = True) -> None:
        client: Client | None = None
        while not self._over.is_set():
            try:
                client = client or await Client.connect(self._lab.address(), self._lab.port)
                answer = await client.request(path)
                self.seen[str(answer.status)] += 1
                closes = (answer.header("connection") or "").lower() == "close"
            except (OSError, EOFError) as problem:
                self.seen[repr(problem)] += 1
                closes = True
            if closes or not keep:
                if client is not None:
                    await client.close()
                client = None
            if pause_s:
                await asyncio.sleep(random.uniform(0, 2 * pause_s))
        if client is not None:
            await client.close()

    def stop(self) -> None:
        self._over.set()


@pytest.mark.timeout(120 + 60 * _SCALE)
async def test_no_request_fails_while_targets_die_and_rules_change(lab: Lab) -> None:
    nursery = Nursery()
    try:
        lb, group = await lab.load_balancer(), await lab.group()
        listener = await lab.listener(lb, forward(group))
        rule = await lab.rule(listener, 1, [paths("/nobody/0")], fixed(404))
        fleet, clients = Fleet(lab, group, nursery), Clients(lab)
        for _ in range(STANDING):
            await fleet.add()
        async with asyncio.TaskGroup() as jobs:
            for _ in range(4):
                jobs.create_task(clients.ask_on("/kept"))
            jobs.create_task(clients.ask_on("/new", keep=False))
            for _ in range(4):
                jobs.create_task(clients.ask_on("/slow"))
            for pause_s in (0.05, 0.5, 1.0):
                jobs.create_task(clients.ask_on("/paused", pause_s))
            every = REPLACEMENTS // RELOADS
            for number in range(REPLACEMENTS):
                await fleet.replace_oldest()
                if number % every == 0:
                    changed = replace(rule, conditions=(paths(f"/nobody/{number}"),))
                    await lab.store.transact(lambda tx, changed=changed: tx.put(RULES, changed))
                    await lab.settled()
            clients.stop()
        assert set(clients.seen) == {"200"}, clients.seen
        assert clients.seen["200"] > 20 * REPLACEMENTS
        # What was left behind by reloads does not stay: nobody keeps a request open.
        await until(lambda: _is_alone(lab))
    finally:
        nursery.close()


async def _is_alone(lab: Lab) -> bool:
    return len(await lab.workers()) == 1
