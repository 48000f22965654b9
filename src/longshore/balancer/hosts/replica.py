"""The store as a balancer on another machine has it: what the platform told, and what this host has seen itself.

Reads and watches are those of a store in memory. What the platform tells of targets' health and load balancers' statuses is what all
hosts say together; here this host's own word counts, so that is kept where there is one. What the balancer writes is written here and
reported: the report is what the platform has not been told yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec
from msgspec.structs import replace

from longshore.kit.resource import Kind
from longshore.kit.sealing import SealBroken, unseal
from longshore.services.acm.model import PURPOSE, Certificate
from longshore.services.elbv2.feed import FED, Row, Rows
from longshore.services.elbv2.model import LOAD_BALANCERS, TARGETS, LoadBalancer, LoadBalancerStatus, Target, TargetHealth
from longshore.services.elbv2.seats import Report
from longshore.services.iam.model import ServerCertificate
from longshore.store.base import Store, Tx
from longshore.store.memory import memory_store

T = TypeVar("T")
R = TypeVar("R")

_KINDS = {kind.name: kind for kind in FED}


class Replica:
    """A `Store` for the balancer (see `as_store`)."""

    def __init__(self, key: bytes, changed: Callable[[], None] = lambda: None) -> None:
        """`key` seals the keys of certificates for this host; `changed` is called when there is something to report."""
        self._store = memory_store(FED)
        self._key = key
        self._changed = changed
        self._health: dict[str, TargetHealth] = {}
        self._drained: dict[str, float | None] = {}
        self._statuses: dict[str, LoadBalancerStatus] = {}

    def as_store(self) -> Store:
        return cast(Store, self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    # ── what the platform tells ──

    async def take(self, rows: Rows) -> None:
        """Raises MsgspecError for what makes no sense."""
        values = [(row.kind, row.key, _value(row)) for row in rows.rows if row.kind in _KINDS]

        def take(tx: Tx) -> None:
            if rows.everything:
                there = {(kind, key) for kind, key, _ in values}
                for kind in reversed(FED):
                    for value in tx.list(kind):
                        if (kind.name, kind.key(value)) not in there:
                            tx.delete(kind, kind.key(value))
            for name, key, value in values:
                kind = _KINDS[name]
                if value is None:
                    tx.delete(kind, key)
                    continue
                known = tx.get(kind, key)
                value = value if known is None else self._own(known, value)
                if value != known:
                    tx.put(kind, value)

        await self._store.transact(take)

    def _own(self, known: Any, value: Any) -> Any:
        """`value` with what this host says of it."""
        if isinstance(value, Target) and value.registered_at == known.registered_at and value.address == known.address:
            return replace(value, health=known.health)
        if isinstance(value, LoadBalancer):
            return replace(value, status=known.status)
        if isinstance(value, Certificate | ServerCertificate) and self._opened(value) == self._opened(known):
            # sealed anew, which is no change
            return replace(value, sealed_key=known.sealed_key)
        return value

    def _opened(self, value: Certificate | ServerCertificate) -> bytes:
        try:
            return unseal(self._key, PURPOSE, value.sealed_key) if value.sealed_key else b""
        except SealBroken:
            return value.sealed_key

    # ── what the balancer writes ──

    async def transact(self, fn: Callable[[Tx], R], *, epoch: int | None = None) -> R:
        written: list[tuple[str, str, Any]] = []

        def recorded(tx: Tx) -> R:
            written.clear()
            return fn(cast(Tx, _Recorder(tx, written)))

        result = await self._store.transact(recorded, epoch=epoch)
        for kind, key, value in written:
            if kind == TARGETS.name and isinstance(value, Target):
                if value.deregistered_at is None:
                    self._health[key] = value.health
                else:
                    self._drained[key] = value.deregistered_at
            elif kind == LOAD_BALANCERS.name:
                self._statuses[key] = value.status
        if written:
            self._changed()
        return result

    def report(self) -> Report | None:
        """What has changed since the last one; None when nothing has."""
        if not (self._health or self._drained or self._statuses):
            return None
        report = Report(dict(self._health), dict(self._drained), dict(self._statuses))
        self._health.clear()
        self._drained.clear()
        self._statuses.clear()
        return report

    def everything(self) -> None:
        """The next report is of everything: whoever hears it may have heard none before."""
        for target in self._store.list(TARGETS):
            if target.deregistered_at is None:
                self._health[TARGETS.key(target)] = target.health
        for lb in self._store.list(LOAD_BALANCERS):
            self._statuses[lb.arn] = lb.status


class _Recorder:
    """A transaction that remembers what was written: (kind, key, the new value, or the one that was deleted)."""

    def __init__(self, tx: Tx, written: list[tuple[str, str, Any]]) -> None:
        self._tx = tx
        self._written = written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def put(self, kind: Kind[T], value: T, *, expect: int | None = None) -> T:
        self._written.append((kind.name, kind.key(value), value))
        return self._tx.put(kind, value, expect=expect)

    def delete(self, kind: Kind[Any], key: str, *, expect: int | None = None) -> None:
        value = self._tx.get(kind, key)
        if value is not None:
            self._written.append((kind.name, key, value))
        self._tx.delete(kind, key, expect=expect)


def _value(row: Row) -> Any:
    """As this host begins to see it: nothing is known of its health and status before it has looked itself."""
    if row.is_gone:
        return None
    value = msgspec.json.decode(row.value, type=_KINDS[row.kind].type)
    if isinstance(value, Target):
        return replace(value, health=TargetHealth(since=value.registered_at))
    if isinstance(value, LoadBalancer):
        return replace(value, status=LoadBalancerStatus())
    return value
