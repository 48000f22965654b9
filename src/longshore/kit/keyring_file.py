"""The keyring's file: all generations of the installation's secret, wrapped with the master key.

Every change is a new file in the place of the old one, on the disk before anybody goes by it. A new master key in a file has to change
two files: it lies beside the old one until the keyring is wrapped with it, and a start that finds it there takes whichever opens.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from longshore.kit.durable import remove_durably, write_durably
from longshore.kit.keyring import SECRET_BYTES, Generation, Keyring
from longshore.kit.master_key import (
    KEY_BYTES,
    NEXT,
    VARIABLE,
    Master,
    MasterKeyProblem,
    key_of_file,
    key_of_text,
    make_file,
    run,
    take_next,
)
from longshore.kit.sealing import SealBroken, seal, unseal

FILE_NAME = "keyring"
_PURPOSE = "keyring"
_FORMAT = 1


class Envelope(msgspec.Struct, frozen=True):
    """What is in the file."""

    format: int
    master: Master
    #: generations, sealed with the master key, or with the key that the command has wrapped
    content: bytes
    #: that key, wrapped; empty where there is no command
    wrapped: bytes = b""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Envelope).decode
_generations = msgspec.msgpack.Decoder(tuple[Generation, ...]).decode


class KeyringFile:
    """`keys` is what everybody signs and seals with, once `open` or `begin` has been called. Safe to use from several threads."""

    def __init__(
        self, directory: Path, given: Master | None = None, handed: str = "", environment: Mapping[str, str] | None = None
    ) -> None:
        """`given`: where the master key is to come from, None: as the file says; `handed`: what the environment variable holds, empty
        where it is not set; `environment`: what a command runs in. Touches nothing."""
        self.path = directory / FILE_NAME
        self._directory = directory
        self._given = given
        self._handed = handed
        self._environment = environment or {}
        self._changing = threading.Lock()
        self.master = given or (Master("environment") if handed else Master())
        #: why what was given did not open the keyring, where what it notes did
        self.passed_over: MasterKeyProblem | None = None
        self.keys: Keyring

    def __repr__(self) -> str:
        return f"KeyringFile({self.path}, {self.master})"

    @property
    def exists(self) -> bool:
        return self.path.exists()

    @property
    def given(self) -> Master | None:
        """What the start was told, if anything."""
        return self._given or (Master("environment") if self._handed else None)

    def open(self) -> Keyring:
        """Raises MasterKeyProblem, and then nothing has changed."""
        return self._open(settles=True)

    def look(self) -> Keyring:
        """The same for whoever is not the only one here, and only asks whether it would open. Changes nothing on the disk."""
        return self._open(settles=False)

    def _open(self, *, settles: bool) -> Keyring:
        envelope, given = self.envelope(), self.given
        generations, self.passed_over, self.master = None, None, envelope.master
        if given is not None and given != envelope.master:
            try:
                generations = self._opened(envelope, given, settles=settles)
            except MasterKeyProblem as problem:
                self.passed_over = problem
        try:
            generations = self._opened(envelope, envelope.master, settles=settles and generations is None)
        except MasterKeyProblem as problem:
            if generations is None:
                raise self.passed_over or problem from None
            assert given is not None
            self.master = given
        if settles and self.master != envelope.master:
            # The same key, from where it is now: that is what the next start is to look for.
            self._note(envelope, self.master)
        self.keys = Keyring(generations)
        return self.keys

    def _note(self, envelope: Envelope, master: Master) -> None:
        """Raises MasterKeyProblem."""
        self._put(msgspec.structs.replace(envelope, master=master))

    def envelope(self) -> Envelope:
        """Raises MasterKeyProblem."""
        try:
            envelope = _decode(self.path.read_bytes())
        except OSError as problem:
            raise MasterKeyProblem(f"{self.path} cannot be read: {problem.strerror}", "see to its permissions") from None
        except msgspec.MsgspecError as problem:
            raise MasterKeyProblem(f"{self.path} is no keyring: {problem}", "bring back a copy of it") from None
        if envelope.format > _FORMAT:
            raise MasterKeyProblem(f"{self.path} was written by a newer Longshore", "use that version")
        return envelope

    def begin(self, secret: bytes, now: float) -> Keyring:
        """Of an installation that has had one secret so far, or none: on the disk on return. Raises MasterKeyProblem."""
        generations = (Generation(1, secret, 0.0),)
        self._write(generations, self.master, self._begun_with(self.master))
        self.keys = Keyring(generations)
        return self.keys

    def rotate(self, now: float, *, at_once: bool) -> Generation:
        """A new generation seals from now on. With `at_once` nothing is good any more that others have signed. Raises MasterKeyProblem."""
        with self._changing:
            before = self.keys.generations
            made = Generation(before[-1].number + 1, os.urandom(SECRET_BYTES), max(now, before[-1].made_at))
            self._change((*(one.ended() if at_once and one.secret else one for one in before), made))
            return made

    def drop(self, numbers: frozenset[int]) -> None:
        """Those generations lose their secrets for good; never the current one. Raises MasterKeyProblem."""
        with self._changing:
            *older, current = self.keys.generations
            self._change((*(one.dropped() if one.number in numbers and one.secret else one for one in older), current))

    def rewrap(self, master: Master, handed: str = "") -> None:
        """With another master key: a new one of a file of ours, what a file holds that is there, what `handed` says, or a command's.

        Raises MasterKeyProblem, and then the old one is good as before.
        """
        with self._changing:
            path: Path | None = None
            if master.source == "file":
                path, key = self._file_anew(master)
            elif master.source == "environment":
                key = key_of_text(handed)
            else:
                key = b""
            self._write(self.keys.generations, master, key)
            before, self.master = self.master.path(self._directory) if self.master == Master() else None, master
            if handed:
                self._handed = handed
            try:
                if path is not None:
                    take_next(path)
                if before is not None and not _is_same(before, self._file):
                    # It would still open older copies of the keyring.
                    remove_durably(before)
            except OSError as problem:
                cause = f"the keyring is wrapped with the new key, but {path or before} cannot be changed: {problem.strerror}"
                raise MasterKeyProblem(cause, "make room, or see to its permissions; what changes the keyring next tries again") from None

    def _file_anew(self, master: Master) -> tuple[Path | None, bytes]:
        """The key that a file is to hold, and the file, if it lies beside that one until the keyring is wrapped with it."""
        path = master.path(self._directory)
        if master.file and master != self.master and not _is_same(path, self._file):
            return None, self._file_or_new(path)
        self._put_next_in_place(path)
        return path, make_file(_beside(path))

    def _put_next_in_place(self, path: Path) -> None:
        """Where a change before ended too early, the key beside it may be the only one that opens the keyring. Raises MasterKeyProblem."""
        if not _beside(path).exists():
            return
        try:
            with contextlib.suppress(MasterKeyProblem):  # neither of them opens it, so there is nothing to keep
                self._opened_with_file(self.envelope(), path, "", settles=True)
        except OSError as problem:
            raise MasterKeyProblem(f"{path} cannot be written: {problem.strerror}", "make room, or see to its permissions") from None

    @property
    def handed(self) -> str:
        """What the environment variable would have to hold at the next start; empty where that needs none."""
        return self._handed if self.master.source == "environment" else ""

    # ── the master key ──

    @property
    def _file(self) -> Path | None:
        """The one that the key comes from, if it comes from any."""
        return self.master.path(self._directory) if self.master.source == "file" else None

    def _begun_with(self, master: Master) -> bytes:
        if master.source == "file":
            return self._file_or_new(master.path(self._directory))
        return key_of_text(self._handed) if master.source == "environment" else b""

    def _file_or_new(self, path: Path) -> bytes:
        try:
            return key_of_file(path)
        except FileNotFoundError:
            return make_file(path)

    def _opened(self, envelope: Envelope, master: Master, *, settles: bool) -> tuple[Generation, ...]:
        other = f"the keyring is wrapped with the key of {envelope.master}: give that one; without it nothing here can be read"
        match master.source:
            case "environment":
                if not self._handed:
                    raise MasterKeyProblem(f"{VARIABLE} is not set, and {self.path} is wrapped with what it held", "set it and start again")
                keys = [key_of_text(self._handed)]
            case "command":
                if not envelope.wrapped:
                    raise MasterKeyProblem(f"{self.path} was not wrapped with a command", other)
                keys = [run(master.command, "unwrap", envelope.wrapped, self._environment)]
            case _:
                return self._opened_with_file(envelope, master.path(self._directory), other, settles=settles)
        return _unwrapped(envelope, keys[0], f"{master} does not open {self.path}", other)

    def _opened_with_file(self, envelope: Envelope, path: Path, other: str, *, settles: bool) -> tuple[Generation, ...]:
        beside = _beside(path)
        try:
            found = _unwrapped(envelope, key_of_file(path), f"the master key {path} does not open {self.path}", other)
        except (FileNotFoundError, MasterKeyProblem) as problem:
            if beside.exists():
                generations = _unwrapped(envelope, key_of_file(beside), f"neither {path} nor {beside} opens {self.path}", other)
                if settles:
                    take_next(path)
                return generations
            if isinstance(problem, MasterKeyProblem):
                raise
            raise MasterKeyProblem(f"the master key {path} is missing", f"bring it back, or mount what it lies on; {other}") from None
        if settles:
            beside.unlink(missing_ok=True)
        return found

    # ── the file ──

    def _change(self, generations: tuple[Generation, ...]) -> None:
        self._write(generations, self.master, self._key_of_now())
        self.keys.replace(generations)

    def _key_of_now(self) -> bytes:
        """The one that opens the file as it is: what is changed must open with it, too. Raises MasterKeyProblem."""
        if self.master.source == "command":
            return b""
        path = self.master.path(self._directory)
        if self.master.source == "file":
            self._put_next_in_place(path)
        try:
            key = key_of_file(path) if self.master.source == "file" else key_of_text(self._handed)
        except FileNotFoundError:
            raise MasterKeyProblem(f"the master key {path} is missing", "bring it back, or mount what it lies on") from None
        _unwrapped(self.envelope(), key, f"{self.master} does not open {self.path} any more", "bring back the key it was wrapped with")
        return key

    def _write(self, generations: tuple[Generation, ...], master: Master, key: bytes) -> None:
        wrapped = b""
        if master.source == "command":
            key = os.urandom(KEY_BYTES)
            wrapped = run(master.command, "wrap", key, self._environment)
            if run(master.command, "unwrap", wrapped, self._environment) != key:
                raise MasterKeyProblem(f"{master.command!r} does not unwrap what it has wrapped", "see to it: nothing was changed")
        self._put(Envelope(_FORMAT, master, seal(key, _PURPOSE, msgspec.msgpack.encode(generations)), wrapped))

    def _put(self, envelope: Envelope) -> None:
        try:
            write_durably(self.path, _encode(envelope))
        except OSError as problem:
            raise MasterKeyProblem(f"{self.path} cannot be written: {problem.strerror}", "make room, or see to its permissions") from None


def _beside(path: Path) -> Path:
    return path.with_name(path.name + NEXT)


def _is_same(one: Path, other: Path | None) -> bool:
    """Whether both are the same file, however it is named."""
    return other is not None and (one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other)))


def _unwrapped(envelope: Envelope, key: bytes, cause: str, fix: str) -> tuple[Generation, ...]:
    try:
        return _generations(unseal(key, _PURPOSE, envelope.content))
    except (SealBroken, ValueError, msgspec.MsgspecError):
        raise MasterKeyProblem(cause, fix) from None
