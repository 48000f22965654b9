"""The container instances of one cluster in columns: what decisions are made from, kept current change by change.

Each instance has a row, and each fact about it a column (a numpy array): what is left there of CPU, memory, GPUs and network
interfaces, how many tasks, whether it is ACTIVE and its agent connected; attributes as small numbers, held ports and the tasks
of each group as tallies. Instances and tasks may come and go in any order: a row is there for as long as either speaks of it,
and what is left is what the instance has less what its tasks hold. Nothing here decides anything (planner.py does).

`epoch` counts the changes of instances, `changed_at` says at which one a row changed last; what is worked out of instances' own
facts (masks.py) is kept until then.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from longshore.services.ecs.model import ContainerInstance, HostPort, Reservation, Task
from longshore.services.ecs.placement.ports import held_ports
from longshore.services.ecs.placement.tally import Indexes, Ints, Tally, Values

Mask = NDArray[np.bool_]

#: bytes that whole columns of tallies may take in one cluster; the longest unasked go first
MOST_DENSE_BYTES = 32 << 20
#: names that columns are kept for; whoever may run tasks may name any
MOST_ATTRIBUTES = 64
#: agents may say what they like; a million processors and a pebibyte are believed
MOST_OFFERED = 1 << 30
_FIRST_SIZE = 64
_COLUMNS = ("cpu", "memory", "gpus", "enis", "tasks", "running", "active", "connected", "changed_at")


class Held(NamedTuple):
    """What a task means to the instance that it is on."""

    instance_arn: str
    reservation: Reservation
    group: str
    ports: tuple[HostPort, ...]
    running: bool


def held_by(task: Task | None) -> Held | None:
    """None for tasks without a place and for those that have stopped."""
    if task is None or not task.container_instance_arn or task.status.last_status == "STOPPED":
        return None
    spec = task.spec
    return Held(task.container_instance_arn, spec.reservation, spec.group, held_ports(task), task.status.last_status == "RUNNING")


def _standing(instance: ContainerInstance) -> tuple[object, ...]:
    """All that placement and the cluster query language ask of an instance. Its other members change far more often."""
    return (
        instance.status,
        instance.agent_connected,
        instance.capacity,
        instance.attributes,
        instance.availability_zone,
        instance.capacity_provider,
        instance.agent_version,
        instance.ec2_instance_id,
        instance.registered_at,
    )


class Columns:
    def __init__(self) -> None:
        self.size = _FIRST_SIZE
        self.row_of: dict[str, int] = {}
        self.arns: list[str] = [""] * self.size
        self.instances: list[ContainerInstance | None] = [None] * self.size
        self._free_rows = list(range(self.size - 1, -1, -1))
        self.cpu: Ints = np.zeros(self.size, np.int32)
        self.memory: Ints = np.zeros(self.size, np.int32)
        self.gpus: Ints = np.zeros(self.size, np.int32)
        self.enis: Ints = np.zeros(self.size, np.int32)
        #: all that have not stopped, and those that are RUNNING
        self.tasks: Ints = np.zeros(self.size, np.int32)
        self.running: Ints = np.zeros(self.size, np.int32)
        self.active: Mask = np.zeros(self.size, np.bool_)
        self.connected: Mask = np.zeros(self.size, np.bool_)
        self.changed_at: NDArray[np.int64] = np.zeros(self.size, np.int64)
        self.epoch = 0
        self.groups: dict[str, Tally] = {}
        self.ports: dict[HostPort, Tally] = {}
        #: attribute names that somebody asked about
        self.attributes: dict[str, Values] = {}
        self._dense: dict[Tally, None] = {}
        self._ranks: tuple[Indexes, Ints] | None = None

    def __repr__(self) -> str:
        return f"Columns({len(self.row_of)} instances, {len(self.groups)} groups, {len(self._dense)} whole columns of tallies)"

    # ── what is asked ──

    def ranks(self) -> tuple[Indexes, Ints]:
        """Rows in the order of their ARNs, and each row's place in that order: nothing depends on the order of arrival."""
        if self._ranks is None:
            in_order = np.fromiter((self.row_of[arn] for arn in sorted(self.row_of)), np.intp, len(self.row_of))
            place = np.zeros(self.size, np.int32)
            place[in_order] = np.arange(len(in_order), dtype=np.int32)
            self._ranks = (in_order, place)
        return self._ranks

    def attribute(self, name: str) -> Values:
        found = self.attributes.get(name)
        if found is None:
            if len(self.attributes) >= MOST_ATTRIBUTES:
                self._forget_attribute(next(iter(self.attributes)))
            found = self.attributes[name] = Values(self.size)
            for row in self.row_of.values():
                instance = self.instances[row]
                found.put(row, None if instance is None else instance.attribute(name))
        return found

    def _forget_attribute(self, name: str) -> None:
        del self.attributes[name]
        for tally in self.groups.values():
            if tally.sums is not None:
                tally.sums.pop(name, None)

    def dense(self, tally: Tally | None) -> Ints:
        """How many each row has."""
        if tally is None:
            return np.zeros(self.size, np.int32)
        self._dense.pop(tally, None)
        self._dense[tally] = None
        column = tally.column if tally.column is not None else tally.make_column(self.size)
        while len(self._dense) * self.size * 4 > MOST_DENSE_BYTES and len(self._dense) > 1:
            oldest = next(iter(self._dense))
            oldest.drop()
            del self._dense[oldest]
        return column

    def sums(self, tally: Tally | None, name: str) -> Ints:
        """How many there are by the code of the attribute's value; on all instances, also those that take no more tasks."""
        values = self.attribute(name)
        if tally is None:
            return np.zeros(len(values.texts), np.int32)
        known = tally.sums.get(name) if tally.sums is not None else None
        if known is not None and known[0] == values.edition and len(known[1]) == len(values.texts):
            return known[1]
        sums = np.zeros(len(values.texts), np.int32)
        for row, amount in tally.rows.items():
            sums[values.codes[row]] += amount
        if tally.sums is None:
            tally.sums = {}
        tally.sums[name] = (values.edition, sums)
        return sums

    # ── what changes ──

    def instance_moved(self, old: ContainerInstance | None, new: ContainerInstance | None) -> None:
        arn = (new or old).arn  # type: ignore[union-attr]
        row = self._row(arn)
        if old is not None and new is not None and _standing(old) == _standing(new):
            self.instances[row] = new
            return
        if old is not None:
            self._offer(row, old, -1)
        if new is not None:
            self._offer(row, new, 1)
        self.instances[row] = new
        self.active[row] = new is not None and new.status == "ACTIVE"
        self.connected[row] = new is not None and new.agent_connected
        if old is None or new is None or old.attributes is not new.attributes:
            for name, values in self.attributes.items():
                values.put(row, None if new is None else new.attribute(name))
        self.epoch += 1
        self.changed_at[row] = self.epoch
        if new is None:
            self._leave(arn, row)

    def _offer(self, row: int, instance: ContainerInstance, sign: int) -> None:
        capacity = instance.capacity
        self.cpu[row] += sign * min(capacity.cpu, MOST_OFFERED)
        self.memory[row] += sign * min(capacity.memory_mib, MOST_OFFERED)
        self.gpus[row] += sign * len(capacity.gpus)
        self.enis[row] += sign * min(capacity.enis, MOST_OFFERED)
        self._hold(row, (HostPort(port) for port in capacity.reserved_ports), sign)
        self._hold(row, (HostPort(port, "udp") for port in capacity.reserved_ports_udp), sign)

    def task_moved(self, was: Held | None, now: Held | None) -> None:
        if was is not None and now is not None and was[:4] == now[:4]:
            if was.running != now.running:
                self.running[self.row_of[now.instance_arn]] += 1 if now.running else -1
            return
        if was is not None:
            self._take(was, -1)
        if now is not None:
            self._take(now, 1)

    def _take(self, held: Held, sign: int) -> None:
        row, reservation = self._row(held.instance_arn), held.reservation
        self.cpu[row] -= sign * reservation.cpu
        self.memory[row] -= sign * reservation.memory_mib
        if reservation.gpus:
            self.gpus[row] -= sign * reservation.gpus
        if reservation.enis:
            self.enis[row] -= sign * reservation.enis
        self.tasks[row] += sign
        if held.running:
            self.running[row] += sign
        tally = self.groups.get(held.group)
        if tally is None:
            tally = self.groups[held.group] = Tally()
        self._count(tally, row, sign)
        if not tally.rows:
            del self.groups[held.group]
            self._dense.pop(tally, None)
        if held.ports:
            self._hold(row, held.ports, sign)
        if sign < 0 and self.instances[row] is None:
            self._leave(held.instance_arn, row)

    def _count(self, tally: Tally, row: int, amount: int) -> None:
        tally.add(row, amount)
        if tally.sums is None:
            return
        for name, (edition, sums) in list(tally.sums.items()):
            values = self.attributes[name]
            if edition == values.edition and len(sums) == len(values.texts):
                sums[values.codes[row]] += amount
            else:
                del tally.sums[name]

    def _hold(self, row: int, ports: Iterable[HostPort], sign: int) -> None:
        for port in ports:
            tally = self.ports.get(port)
            if tally is None:
                tally = self.ports[port] = Tally()
            tally.add(row, sign)
            if not tally.rows:
                del self.ports[port]
                self._dense.pop(tally, None)

    def copy(self) -> Columns:
        """To ask what would be. It follows nothing."""
        other = Columns()
        for name in _COLUMNS:
            setattr(other, name, getattr(self, name).copy())
        other.size, other.epoch = self.size, self.epoch
        other.row_of, other.arns, other.instances = dict(self.row_of), list(self.arns), list(self.instances)
        other._free_rows = list(self._free_rows)
        other.groups = {group: tally.copy() for group, tally in self.groups.items()}
        other.ports = {port: tally.copy() for port, tally in self.ports.items()}
        return other

    # ── rows ──

    def _row(self, arn: str) -> int:
        row = self.row_of.get(arn)
        if row is None:
            if not self._free_rows:
                self._grow()
            row = self.row_of[arn] = self._free_rows.pop()
            self.arns[row] = arn
            self._ranks = None
        return row

    def _leave(self, arn: str, row: int) -> None:
        """Give the row back unless tasks are still on it. All its columns are zero then."""
        if self.tasks[row]:
            return
        del self.row_of[arn]
        self.arns[row] = ""
        self._free_rows.append(row)
        self._ranks = None

    def _grow(self) -> None:
        more = max(_FIRST_SIZE, self.size // 4)
        for name in _COLUMNS:
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.zeros(more, column.dtype)]))
        for values in self.attributes.values():
            values.codes = np.concatenate([values.codes, np.zeros(more, np.intp)])
        for tally in self._dense:
            tally.drop()
        self._dense = {}
        self.arns += [""] * more
        self.instances += [None] * more
        self._free_rows = list(range(self.size + more - 1, self.size - 1, -1))
        self.size += more
