"""What an agent must not forget: who it is, which tasks it has taken on, how far they are and what was reported.

One file of JSON lines that is only ever appended to. A task is written and synced before its payload is acknowledged; what
was seen afterwards is written at once and synced with whatever comes next, since the engine can be asked again. On opening,
the lines are played back, a line torn by a crash at the end is dropped, and what is left is written anew, whole. While the
agent runs, the same happens whenever most of the file has become history.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import msgspec

from longshore.agent.lifecycle import Phase, TaskStatus

log = logging.getLogger("longshore.agent")

#: written anew when it is larger than this and less than half of it still matters
COMPACT_BYTES = 1024 * 1024


class Identity(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which container instance of which platform this agent is."""

    container_instance_arn: str = ""
    cluster: str = ""
    endpoint: str = ""


class ContainerRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome of one container, as far as the engine could not be asked for it again."""

    phase: Phase = Phase.NONE
    id: str = ""
    exit_code: int | None = None
    reason: str = ""
    restart_count: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    image_digest: str = ""
    #: network bindings as they were reported
    bindings: msgspec.Raw = msgspec.Raw(b"")


class TaskRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One task: the payload as it came, and what has become of it."""

    arn: str
    payload: msgspec.Raw
    #: it is to be stopped
    stopping: bool = False
    status: TaskStatus = TaskStatus.PENDING
    #: the highest status that was acknowledged; -1: none
    reported: int = -1
    #: why it was stopped before anything ran
    reason: str = ""
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    stopped_at: float | None = None
    containers: dict[str, ContainerRecord] = {}
    #: first host port chosen for each range: container name → range → port
    host_ranges: dict[str, dict[str, int]] = {}


class PulledImage(msgspec.Struct, frozen=True):
    """An image this agent has pulled, and so may remove."""

    id: str
    reference: str
    #: seconds since the epoch
    used_at: float


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """Exactly one member is there."""

    identity: Identity | None = None
    sequence: int | None = None
    task: TaskRecord | None = None
    forget: str | None = None
    image: PulledImage | None = None
    forget_image: str | None = None


class JournalUnusable(Exception):
    """The journal cannot be read or written."""


class Journal:
    """Opened with `Journal.open`.

    Writing never fails: what the disk refuses is kept in memory, and written with the rest as soon as the disk lets it.
    `sync` is where a caller learns that it is not on the disk yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.identity = Identity()
        self.sequence = -1
        self.tasks: dict[str, TaskRecord] = {}
        self.images: dict[str, PulledImage] = {}
        self._descriptor = -1
        self._written = 0
        self._live = 0
        #: why the file lacks something that is in memory; "" when it does not
        self._behind = ""
        self._syncing: asyncio.Task[None] | None = None
        self._waiting: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"Journal({self._path}, {len(self.tasks)} tasks)"

    @classmethod
    def open(cls, path: Path) -> Journal:
        journal = cls(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            journal._play(path.read_bytes() if path.exists() else b"")
            journal._write_anew()
        except OSError as error:
            raise JournalUnusable(f"{path}: {error.strerror or error}") from error
        return journal

    def close(self) -> None:
        if self._descriptor >= 0:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    # ── what is written ──

    def identify(self, identity: Identity) -> None:
        self._append(_Line(identity=identity))

    def raise_sequence(self, sequence: int) -> None:
        if sequence > self.sequence:
            self._append(_Line(sequence=sequence))

    def restart_sequence(self) -> None:
        """What the platform says on a new connection of a new process is newer than anything before."""
        self._append(_Line(sequence=-1))

    def keep(self, task: TaskRecord) -> None:
        self._append(_Line(task=task))

    def forget(self, arn: str) -> None:
        if arn in self.tasks:
            self._append(_Line(forget=arn))

    def keep_image(self, image: PulledImage) -> None:
        self._append(_Line(image=image))

    def forget_image(self, image_id: str) -> None:
        if image_id in self.images:
            self._append(_Line(forget_image=image_id))

    async def start_over(self) -> None:
        """Another container instance from now on: nothing of the old one is kept but the images."""
        await self.sync()
        self.identity, self.sequence, self.tasks = Identity(), -1, {}
        self._catch_up()

    async def sync(self) -> None:
        """Returns when everything written so far is on the disk. Callers at the same time share one fsync.

        Raises JournalUnusable when the disk refuses.
        """
        if self._behind:
            self._catch_up()
        if self._behind:
            raise JournalUnusable(f"{self._path}: {self._behind}")
        waiting = self._waiting
        if waiting is None:
            waiting = self._waiting = asyncio.get_running_loop().create_future()
            waiting.add_done_callback(_retrieved)
        if self._syncing is None:
            self._syncing = asyncio.create_task(self._sync_all(), name="journal:sync")
        await asyncio.shield(waiting)

    async def _sync_all(self) -> None:
        try:
            while self._waiting is not None:
                waiting, self._waiting = self._waiting, None
                try:
                    await asyncio.to_thread(os.fsync, self._descriptor)
                except OSError as error:
                    waiting.set_exception(JournalUnusable(f"{self._path}: {error.strerror or error}"))
                else:
                    waiting.set_result(None)
        finally:
            self._syncing = None

    # ── inside ──

    def _append(self, line: _Line) -> None:
        self._apply(line)
        if self._behind:
            self._catch_up()
            return
        content = msgspec.json.encode(line) + b"\n"
        try:
            _write_all(self._descriptor, content)
        except OSError as error:
            log.error("%s cannot be written: %s", self._path, error)
            self._behind = error.strerror or str(error)
            self._cut_back()
            return
        self._written += len(content)
        if self._written > COMPACT_BYTES and self._written > 2 * self._live and self._syncing is None:
            self._catch_up()

    def _catch_up(self) -> None:
        try:
            self._write_anew()
        except OSError as error:
            self._behind = error.strerror or str(error)
        else:
            self._behind = ""

    def _cut_back(self) -> None:
        """Half a line would spoil the next one."""
        try:
            os.ftruncate(self._descriptor, self._written)
        except OSError as error:
            log.error("%s cannot be cut back: %s", self._path, error)

    def _apply(self, line: _Line) -> None:
        if line.identity is not None:
            self.identity = line.identity
        if line.sequence is not None:
            self.sequence = line.sequence
        if line.task is not None:
            self.tasks[line.task.arn] = line.task
        if line.forget is not None:
            self.tasks.pop(line.forget, None)
        if line.image is not None:
            self.images[line.image.id] = line.image
        if line.forget_image is not None:
            self.images.pop(line.forget_image, None)

    def _play(self, content: bytes) -> None:
        for number, text in enumerate(content.split(b"\n"), 1):
            if not text:
                continue
            try:
                self._apply(msgspec.json.decode(text, type=_Line))
            except msgspec.MsgspecError as error:
                # Only the last line can be torn; anything else is damage, of which as much is saved as can be.
                log.warning("journal %s: line %d is not readable and left out: %s", self._path, number, error)

    def _write_anew(self) -> None:
        lines: list[Any] = [_Line(identity=self.identity), _Line(sequence=self.sequence)]
        lines += [_Line(image=image) for image in self.images.values()]
        lines += [_Line(task=task) for task in self.tasks.values()]
        content = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        beside = self._path.with_name(f".{self._path.name}.new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, content)
            os.fsync(descriptor)
            os.replace(beside, self._path)
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError:
            os.close(descriptor)
            raise
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._written = self._live = len(content)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _retrieved(future: asyncio.Future[None]) -> None:
    """Somebody may have stopped waiting for it; the loop is not to complain."""
    if not future.cancelled():
        future.exception()
