"""The master key, which the installation's secrets are wrapped with, and where it comes from.

    file          a file of this user's alone, made on the first start; better on another disk than the data
    environment   LONGSHORE_MASTER_KEY: the base64 of 32 bytes, as `openssl rand -base64 32` prints; kept in no file
    command       a program that asks a KMS, an HSM or a vault: `CMD wrap` and `CMD unwrap` read one line of base64 and print one. The
                  key it wraps is drawn here, and what comes of wrapping it is kept beside the secrets

A command is run without a shell and without secrets in its environment, and is given thirty seconds.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import signal
import stat
import subprocess
import time
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Literal

import msgspec

from longshore.kit.durable import write_durably

VARIABLE = "LONGSHORE_MASTER_KEY"
KEY_BYTES = 32
COMMAND_S = 30.0
_LONGEST_ANSWER = 64 * 1024
#: that much in base64, and some room for spaces
_LONGEST_OUTPUT = 2 * _LONGEST_ANSWER
_MOST_ERRORS = 4096
#: where the next key lies until what it wraps is on the disk
NEXT = ".next"

Source = Literal["file", "environment", "command"]


class MasterKeyProblem(Exception):
    """Names the cause and the cure; neither holds a key."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.fix = fix


class Master(msgspec.Struct, frozen=True):
    """Where the master key comes from. No key is in it."""

    source: Source = "file"
    #: of a file; empty for `master-key` in the data directory
    file: str = ""
    #: of a command, as a shell would be given it
    command: str = ""

    def __str__(self) -> str:
        match self.source:
            case "file":
                return f"the file {self.file or 'master-key of the data directory'}"
            case "environment":
                return f"the environment variable {VARIABLE}"
        return f"the command {self.command!r}"

    def path(self, directory: Path) -> Path:
        return Path(self.file) if self.file else directory / "master-key"


def key_of_text(text: str) -> bytes:
    """The 32 bytes that base64 stands for. Raises MasterKeyProblem."""
    try:
        key = b64decode(text.strip(), validate=True)
    except (Base64Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise MasterKeyProblem(f"{VARIABLE} is not the base64 of {KEY_BYTES} bytes", "make one with: openssl rand -base64 32")
    return key


def key_of_file(path: Path) -> bytes:
    """Raises MasterKeyProblem, and FileNotFoundError where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as problem:
        raise MasterKeyProblem(f"the master key {path} cannot be read: {problem.strerror}", "see to its permissions") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise MasterKeyProblem(f"the master key {path} is no regular file", "name the file itself")
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise MasterKeyProblem(f"others may read the master key {path}", f"chmod 600 {path}")
        if status.st_uid not in (os.geteuid(), 0):
            raise MasterKeyProblem(f"the master key {path} belongs to another user", f"chown it to the user that runs Longshore: {path}")
        content = file.read(KEY_BYTES + 64)
    if len(content) == KEY_BYTES:
        return content
    try:
        return key_of_text(content.decode("ascii"))
    except (UnicodeDecodeError, MasterKeyProblem):
        raise MasterKeyProblem(f"{path} holds neither {KEY_BYTES} bytes nor their base64", "bring back a copy of it") from None


def make_file(path: Path) -> bytes:
    """A new key, in a file that is there already or not at all. Raises MasterKeyProblem."""
    made = os.urandom(KEY_BYTES)
    try:
        write_durably(path, b64encode(made) + b"\n")
    except OSError as problem:
        raise MasterKeyProblem(f"the master key {path} cannot be made: {problem.strerror}", "choose another --master-key-file") from None
    return made


def take_next(path: Path) -> None:
    """The key that was to come next is the key. Raises OSError."""
    beside = path.with_name(path.name + NEXT)
    write_durably(path, beside.read_bytes())
    beside.unlink()


def run(command: str, verb: Literal["wrap", "unwrap"], given: bytes, environment: Mapping[str, str]) -> bytes:
    """What a command makes of some bytes. Raises MasterKeyProblem with what it said on its standard error."""
    fix = f"see that this works: printf '%s\\n' BASE64 | {command} {verb}"
    try:
        words = shlex.split(command)
    except ValueError as problem:
        raise MasterKeyProblem(f"the command for the master key cannot be read: {problem}", "quote it as for a shell") from None
    if not words:
        raise MasterKeyProblem("the command for the master key is empty", "give one: --master-key-command 'PROGRAM ARGUMENTS'")
    try:
        code, answered, complained = _ended([*words, verb], b64encode(given) + b"\n", environment)
    except subprocess.TimeoutExpired:
        raise MasterKeyProblem(f"{command!r} {verb} did not answer within {COMMAND_S:.0f} s", fix) from None
    except OSError as problem:
        raise MasterKeyProblem(f"{command!r} cannot be run: {problem.strerror}", "see to its path and its permissions") from None
    said = complained.decode(errors="replace").strip()[-500:]
    if len(answered) > _LONGEST_OUTPUT:
        raise MasterKeyProblem(f"{command!r} {verb} printed more than any key, and was ended", fix)
    if code != 0:
        raise MasterKeyProblem(f"{command!r} {verb} ended with {code}{': ' + said if said else ''}", fix)
    try:
        answer = b64decode(answered.strip(), validate=True)
    except (Base64Error, ValueError):
        answer = b""
    if not answer or len(answer) > _LONGEST_ANSWER:
        raise MasterKeyProblem(f"{command!r} {verb} printed no base64{': ' + said if said else ''}", fix)
    return answer


def _ended(words: list[str], given: bytes, environment: Mapping[str, str]) -> tuple[int, bytes, bytes]:
    """How a program ended and what it printed, of which no more is taken than tells that it is too much. Raises OSError, TimeoutExpired.

    It is the first of a session of its own, so that whatever it has started ends with it.
    """
    ends = time.monotonic() + COMMAND_S
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        start_new_session=True,
    ) as program:
        assert program.stdin is not None and program.stdout is not None and program.stderr is not None
        try:
            with contextlib.suppress(BrokenPipeError):
                program.stdin.write(given)  # a line: pipes hold more
                program.stdin.flush()
            with contextlib.suppress(BrokenPipeError):
                program.stdin.close()
            answered, complained = _read(program.stdout, program.stderr, ends)
            if len(answered) <= _LONGEST_OUTPUT:
                program.wait(max(0.0, ends - time.monotonic()))
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(program.pid, signal.SIGKILL)
        return program.wait(), answered, complained


def _read(output: IO[bytes], errors: IO[bytes], ends: float) -> tuple[bytes, bytes]:
    """Both to their ends, or until the first is too long; of the second the end. Raises TimeoutExpired."""
    found = {output: b"", errors: b""}
    with selectors.DefaultSelector() as selector:
        for pipe in found:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map() and len(found[output]) <= _LONGEST_OUTPUT:
            ready = selector.select(max(0.0, ends - time.monotonic()))
            if not ready and time.monotonic() >= ends:
                raise subprocess.TimeoutExpired("", COMMAND_S)
            for key, _ in ready:
                pipe = output if key.fileobj is output else errors
                piece = os.read(pipe.fileno(), 65_536)
                if not piece:
                    selector.unregister(pipe)
                found[pipe] = found[pipe] + piece if pipe is output else (found[pipe] + piece)[-_MOST_ERRORS:]
    return found[output], found[errors]
