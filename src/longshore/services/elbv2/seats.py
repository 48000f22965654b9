"""Where balancers sit: each host's own view of targets and load balancers, and what of it is written for all.

A balancer writes a target's health, the end of a drained target and a load balancer's status as if it were alone. Between it and the
store stands its seat: what it writes is remembered as its own view, and what is written is what all seats say together
(merging.py). With one seat that is the same, and costs a look-up. What others see stands between nobody and his own view: reads
through a seat show what its own host has seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec
from msgspec.structs import replace

from longshore.kit.resource import Derivation, Derived, Kind
from longshore.services.elbv2.hosts import BALANCER_HOSTS, LEASE_S, BalancerHost
from longshore.services.elbv2.merging import is_drained, merged_health, merged_status
from longshore.services.elbv2.model import LOAD_BALANCERS, TARGETS, LoadBalancer, LoadBalancerStatus, Target, TargetHealth
from longshore.store.base import Reader, Store, Tx, Watch

T = TypeVar("T")
R = TypeVar("R")
D = TypeVar("D", bound=Derived)

#: the seat of the platform's own machine
OWN = ""


class Report(msgspec.Struct, frozen=True):
    """What a host has seen; only what has changed, after the first."""

    #: key of a target -> its health
    health: dict[str, TargetHealth] = {}
    #: key of a target -> the deregistration that is over for this host
    drained: dict[str, float | None] = {}
    #: ARN of a load balancer -> its status
    statuses: dict[str, LoadBalancerStatus] = {}


class Seats:
    def __init__(self, store: Store) -> None:
        self._store = store
        #: key -> host -> what it says
        self._health: dict[str, dict[str, TargetHealth]] = {}
        self._drained: dict[str, dict[str, float | None]] = {}
        self._statuses: dict[str, dict[str, LoadBalancerStatus]] = {}
        #: hosts that are listened to, beside the own machine's
        self._others: set[str] = set()
        self.own = cast(Store, Seat(self, store))

    @property
    def others(self) -> frozenset[str]:
        return frozenset(self._others)

    # ── coming and going ──

    async def begin(self, now: float) -> None:
        """No host is connected when the server starts; those that were are waited for as if they had just gone."""

        def wait(tx: Tx) -> None:
            for host in tx.list(BALANCER_HOSTS):
                if host.state != "lost":
                    tx.put(BALANCER_HOSTS, replace(host, state="waiting", since=now))

        await self._store.transact(wait)
        self._others = {host.id for host in self._store.list(BALANCER_HOSTS) if host.state != "lost"}

    async def enter(self, host: BalancerHost) -> None:
        self._others.add(host.id)
        await self._store.transact(lambda tx: tx.put(BALANCER_HOSTS, host))

    async def leave(self, host_id: str, now: float) -> None:
        """It is waited for until its lease has ended."""

        def leave(tx: Tx) -> None:
            host = tx.get(BALANCER_HOSTS, host_id)
            if host is not None and host.state == "connected":
                tx.put(BALANCER_HOSTS, replace(host, state="waiting", since=now))

        await self._store.transact(leave)

    async def end_leases(self, now: float) -> None:
        """Hosts that did not come back in time count for nothing any more."""
        ended = [host.id for host in self._store.list(BALANCER_HOSTS) if host.state == "waiting" and now - host.since >= LEASE_S]
        for host_id in ended:
            await self._give_up(host_id, now)

    async def _give_up(self, host_id: str, now: float) -> None:
        self._others.discard(host_id)
        touched = {key for key, said in self._health.items() if said.pop(host_id, None) is not None}
        statuses = {arn for arn, said in self._statuses.items() if said.pop(host_id, None) is not None}
        for said in self._drained.values():
            said.pop(host_id, None)
        waiting = list(self._drained)

        def give_up(tx: Tx) -> None:
            host = tx.get(BALANCER_HOSTS, host_id)
            if host is not None:
                tx.put(BALANCER_HOSTS, replace(host, state="lost", since=now))
            for key in touched:
                self._write_health(tx, key)
            for arn in statuses:
                self._write_status(tx, arn)
            for key in waiting:
                self._write_drained(tx, key)

        await self._store.transact(give_up)

    # ── what is said ──

    async def report(self, host_id: str, report: Report) -> None:
        if host_id not in self._others:
            return
        for key, health in report.health.items():
            self._note_health(self._store, key, host_id, health)
        for key, deregistered_at in report.drained.items():
            self._drained.setdefault(key, {})[host_id] = deregistered_at
        for arn, status in report.statuses.items():
            self._note_status(self._store, arn, host_id, status)

        def write(tx: Tx) -> None:
            for key in report.health:
                self._write_health(tx, key)
            for key in report.drained:
                self._write_drained(tx, key)
            for arn in report.statuses:
                self._write_status(tx, arn)

        await self._store.transact(write)

    def _note_health(self, reader: Reader, key: str, host_id: str, health: TargetHealth) -> None:
        said = self._health.setdefault(key, {})
        if OWN not in said and host_id != OWN and (target := reader.get(TARGETS, key)) is not None:
            said[OWN] = target.health  # what the own machine has not contradicted is what it sees
        said[host_id] = health

    def _note_status(self, reader: Reader, arn: str, host_id: str, status: LoadBalancerStatus) -> None:
        said = self._statuses.setdefault(arn, {})
        if OWN not in said and host_id != OWN and (lb := reader.get(LOAD_BALANCERS, arn)) is not None:
            said[OWN] = lb.status
        said[host_id] = status

    def _write_health(self, tx: Tx, key: str) -> None:
        target = tx.get(TARGETS, key)
        if target is None:
            self._health.pop(key, None)
            return
        health = merged_health(self._health.get(key, {}).values())
        if health is not None and health != target.health and target.deregistered_at is None:
            tx.put(TARGETS, replace(target, health=health))

    def _write_status(self, tx: Tx, arn: str) -> None:
        lb, said = tx.get(LOAD_BALANCERS, arn), self._statuses.get(arn, {})
        if lb is None:
            self._statuses.pop(arn, None)
            return
        others = {host: status for host, status in said.items() if host != OWN}
        status = merged_status(said.get(OWN, lb.status), others) if others else said.get(OWN, lb.status)
        if status != lb.status:
            tx.put(LOAD_BALANCERS, replace(lb, status=status))

    def _write_drained(self, tx: Tx, key: str) -> None:
        target = tx.get(TARGETS, key)
        if target is None or target.deregistered_at is None:
            self._drained.pop(key, None)
            return
        if is_drained(target.deregistered_at, (OWN, *self._others), self._drained.get(key, {})):
            tx.delete(TARGETS, key)
            self._drained.pop(key, None)
            self._health.pop(key, None)

    # ── the own machine's seat ──

    def own_target(self, target: Target) -> Target:
        said = self._health.get(TARGETS.key(target)) if self._others else None
        own = said.get(OWN) if said else None
        return target if own is None or own == target.health else replace(target, health=own)

    def own_load_balancer(self, lb: LoadBalancer) -> LoadBalancer:
        said = self._statuses.get(lb.arn) if self._others else None
        own = said.get(OWN) if said else None
        return lb if own is None or own == lb.status else replace(lb, status=own)

    def put_target(self, tx: Tx, target: Target) -> None:
        if not self._others:
            tx.put(TARGETS, target)
            return
        key = TARGETS.key(target)
        self._note_health(tx, key, OWN, target.health)
        self._write_health(tx, key)

    def put_load_balancer(self, tx: Tx, lb: LoadBalancer) -> None:
        if not self._others:
            tx.put(LOAD_BALANCERS, lb)
            return
        self._note_status(tx, lb.arn, OWN, lb.status)
        self._write_status(tx, lb.arn)

    def delete_target(self, tx: Tx, key: str) -> None:
        target = tx.get(TARGETS, key)
        if target is None or not self._others or target.deregistered_at is None:
            tx.delete(TARGETS, key)
            return
        self._drained.setdefault(key, {})[OWN] = target.deregistered_at
        self._write_drained(tx, key)


class _Reading:
    """Reads as the own machine sees it."""

    def __init__(self, seats: Seats, reader: Reader) -> None:
        self._seats = seats
        self._reader = reader

    def get(self, kind: Kind[T], key: str) -> T | None:
        found = self._reader.get(kind, key)
        return found if found is None else self._seen(kind, found)

    def list(
        self, kind: Kind[T], index: str | None = None, value: str | None = None, *, after: str | None = None, limit: int | None = None
    ) -> list[T]:
        found = self._reader.list(kind, index, value, after=after, limit=limit)
        if not self._seats.others or kind.name not in (TARGETS.name, LOAD_BALANCERS.name):
            return found
        return [self._seen(kind, one) for one in found]

    def _seen(self, kind: Kind[T], value: T) -> T:
        if isinstance(value, Target):
            return cast(T, self._seats.own_target(value))
        if isinstance(value, LoadBalancer):
            return cast(T, self._seats.own_load_balancer(value))
        return value

    def count(self, kind: Kind[Any], index: str | None = None, value: str | None = None) -> int:
        return self._reader.count(kind, index, value)

    def total(self, kind: Kind[Any], name: str, group: str) -> tuple[int, ...]:
        return self._reader.total(kind, name, group)

    def revision_of(self, kind: Kind[Any], key: str) -> int:
        return self._reader.revision_of(kind, key)


class _SeatTx(_Reading):
    def __init__(self, seats: Seats, tx: Tx) -> None:
        super().__init__(seats, tx)
        self._tx = tx

    def put(self, kind: Kind[T], value: T, *, expect: int | None = None) -> T:
        if isinstance(value, Target):
            self._seats.put_target(self._tx, value)
            return value
        if isinstance(value, LoadBalancer):
            self._seats.put_load_balancer(self._tx, value)
            return value
        return self._tx.put(kind, value, expect=expect)

    def create(self, kind: Kind[T], value: T) -> T:
        return self._tx.create(kind, value)

    def delete(self, kind: Kind[Any], key: str, *, expect: int | None = None) -> None:
        if kind.name == TARGETS.name:
            self._seats.delete_target(self._tx, key)
        else:
            self._tx.delete(kind, key, expect=expect)

    def derived(self, derivation: Derivation[D]) -> D:
        return self._tx.derived(derivation)


class Seat(_Reading):
    """The store as the balancer of the own machine has it."""

    def __init__(self, seats: Seats, store: Store) -> None:
        super().__init__(seats, store)
        self._store = store

    @property
    def revision(self) -> int:
        return self._store.revision

    async def transact(self, fn: Callable[[Tx], R], *, epoch: int | None = None) -> R:
        return await self._store.transact(lambda tx: fn(cast(Tx, _SeatTx(self._seats, tx))), epoch=epoch)

    def watch(self, *kinds: Kind[Any], index: str | None = None, value: str | None = None) -> Watch:
        return self._store.watch(*kinds, index=index, value=value)

    async def read_barrier(self) -> None:
        await self._store.read_barrier()

    async def acquire_lease(self, name: str) -> int:
        return await self._store.acquire_lease(name)

    async def reset(self) -> None:
        await self._store.reset()

    async def close(self) -> None:
        await self._store.close()
