"""Talks to a running HAProxy: the worker's runtime socket, and the master's.

The runtime connection stays open, in prompt mode, one command per round trip. It belongs to the worker it was opened to:
after a reload it must be opened again. Most `set …` commands answer nothing when they succeed, and errors have no code: what
is expected is compared exactly.
"""

from __future__ import annotations

import asyncio
import contextlib
import re

import msgspec

_ANSWER_S = 10.0
_MOST_ANSWER_BYTES = 64 * 1024 * 1024
_PROMPT = b"\n> "


class RuntimeFailed(Exception):
    """HAProxy does not answer, or answers that it will not."""


class RuntimeRefused(RuntimeFailed):
    """HAProxy answers that it will not."""


class Seen(msgspec.Struct, frozen=True):
    """One server as `show stat` describes it."""

    backend: str
    name: str
    #: UP, UP 1/2, DOWN, DOWN 2/5, NOLB, NOLB 1/2, MAINT, DRAIN, no check
    status: str
    #: L7OK, L7STS, L4CON, INI, … ; empty when nothing checks it
    check_status: str
    check_code: str
    current_sessions: int
    #: within its backend
    number: int = 0
    #: what its agent said, as `check_status`; empty when none is asked
    agent_status: str = ""


class Counted(msgspec.Struct, frozen=True):
    """What a backend has done since its worker began."""

    requests: int
    failed: int
    connect_errors: int
    retries: int


class Identity(msgspec.Struct, frozen=True):
    """Which worker it is that answers."""

    pid: int
    #: the description in the configuration it runs; empty when it has none
    mark: str


class Process(msgspec.Struct, frozen=True):
    """A line of the master's `show proc`."""

    pid: int
    is_master: bool


class Runtime:
    """The worker that serves at present."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def command(self, line: str) -> str:
        """The answer, without surrounding white space. Raises RuntimeFailed when HAProxy is not there."""
        if "\n" in line or ";" in line:
            raise RuntimeFailed(f"{line!r} is more than one command")
        async with self._lock:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    return await self._exchange(line)
            except (OSError, EOFError, asyncio.LimitOverrunError, TimeoutError) as problem:
                self.close()
                raise RuntimeFailed(f"{line.split(' ')[0]}: {problem!r}") from problem
            except BaseException:
                # An answer that is still on its way would be taken for that of the next command.
                self.close()
                raise

    async def load(self, line: str, content: str) -> str:
        """A command that brings `content`, lines none of which is empty. The answer, and the failure, as of `command`."""
        if "\n\n" in content or not content.strip():
            raise RuntimeFailed("an empty line would end what is brought")
        async with self._lock:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    # While content is expected, each piece of it is answered with a `+`.
                    return (await self._exchange(f"{line} <<\n{content.strip()}\n")).lstrip("+ \n")
            except (OSError, EOFError, asyncio.LimitOverrunError, TimeoutError) as problem:
                self.close()
                raise RuntimeFailed(f"{line.split(' ')[0]}: {problem!r}") from problem
            except BaseException:
                self.close()
                raise

    async def expect(self, line: str, answer: str = "") -> None:
        """Raises RuntimeRefused unless HAProxy answers exactly `answer`."""
        got = await self.command(line)
        if got != answer:
            raise RuntimeRefused(f"{line}: {got}")

    async def _exchange(self, line: str) -> str:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(self._path, limit=_MOST_ANSWER_BYTES)
            for opening in ("prompt", "set timeout cli 86400"):
                await self._round_trip(opening)
        return await self._round_trip(line)

    async def _round_trip(self, line: str) -> str:
        assert self._streams is not None
        reader, writer = self._streams
        writer.write(line.encode() + b"\n")
        await writer.drain()
        answer = await reader.readuntil(_PROMPT)
        return answer[: -len(_PROMPT)].decode(errors="replace").strip()

    async def identity(self) -> Identity:
        answer = await self.command("show info")
        pid = _field(answer, "Pid")
        return Identity(int(pid) if pid.isdecimal() else 0, _field(answer, "description"))

    async def frontends(self) -> list[str]:
        return [row[0] for row in _rows(await self.command("show stat -1 1 -1"))[1]]

    async def backends(self) -> list[str]:
        return [row[0] for row in _rows(await self.command("show stat -1 2 -1"))[1]]

    async def counts(self) -> dict[str, Counted]:
        """Backend name -> what it has done."""
        return counts_in(await self.command("show stat -1 2 -1"))

    async def servers(self, backend: str = "-1", number: int = -1) -> list[Seen]:
        """Of one backend, or of all; or the one with a number. Raises RuntimeFailed when there is no such backend."""
        answer = await self.command(f"show stat {backend} 4 {number}")
        if not answer.startswith("#"):
            raise RuntimeFailed(f"{backend}: {answer}")
        return servers_in(answer)

    async def connections(self, backend: str) -> dict[str, int]:
        """Server name -> connections that carry a request (or stream) now."""
        return connections_in(await self.command(f"show servers conn {backend}"))

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _rows(answer: str) -> tuple[dict[str, int], list[list[str]]]:
    lines = answer.removeprefix("# ").splitlines()
    header = {name: number for number, name in enumerate(lines[0].split(","))} if lines else {}
    return header, [line.split(",") for line in lines[1:] if line]


def servers_in(answer: str) -> list[Seen]:
    column, rows = _rows(answer)
    if not rows:
        return []
    names = ("status", "check_status", "check_code", "scur", "sid")
    agent_status = column.get("agent_status")
    status, check_status, check_code, sessions, number = (column[name] for name in names)
    return [
        # While a check runs its last result is marked with an asterisk.
        Seen(
            backend=row[0],
            name=row[1],
            status=row[status],
            check_status=row[check_status].removeprefix("* "),
            check_code=row[check_code],
            current_sessions=int(row[sessions] or 0),
            number=int(row[number]),
            agent_status=row[agent_status].removeprefix("* ") if agent_status is not None else "",
        )
        for row in rows
    ]


def counts_in(answer: str) -> dict[str, Counted]:
    """A backend of TCP listeners has no requests: its connections are counted, and no statuses."""
    column, rows = _rows(answer)

    def number(row: list[str], name: str) -> int:
        place = column.get(name)
        return int(row[place] or 0) if place is not None and place < len(row) else 0

    return {
        row[0]: Counted(
            requests=number(row, "req_tot") or number(row, "stot"),
            failed=number(row, "hrsp_5xx"),
            connect_errors=number(row, "econ"),
            retries=number(row, "wretr"),
        )
        for row in rows
    }


def connections_in(answer: str) -> dict[str, int]:
    lines = answer.splitlines()
    if not lines or not lines[0].startswith("#"):
        return {}
    used = lines[0].removeprefix("# ").split().index("used_cur")
    found: dict[str, int] = {}
    for line in lines[1:]:
        fields = line.split()
        if len(fields) > used:
            found[fields[0].partition("/")[2]] = int(fields[used])
    return found


def _field(answer: str, name: str) -> str:
    for line in answer.splitlines():
        if line.startswith(f"{name}: "):
            return line.partition(": ")[2].strip()
    return ""


async def ask_master(path: str, line: str) -> str:
    """One command to the master, which wants the sending side closed. Raises RuntimeFailed when it is not there."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(path, limit=_MOST_ANSWER_BYTES)
            try:
                writer.write(line.encode() + b"\n")
                writer.write_eof()
                return (await reader.read(-1)).decode(errors="replace").strip()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError) as problem:
        raise RuntimeFailed(f"the master does not answer: {problem!r}") from problem


def processes_in(answer: str) -> list[Process]:
    """`show proc`: the master, the worker, and old workers that still have connections."""
    found: list[Process] = []
    for line in answer.splitlines():
        fields = line.split()
        if len(fields) > 1 and fields[0].isdecimal() and fields[1] in ("master", "worker"):
            found.append(Process(int(fields[0]), fields[1] == "master"))
    return found


def failures_in(answer: str) -> int:
    """How many reloads have failed since the last that did not."""
    found = re.search(r"\[failed: (\d+)\]", answer)
    return int(found[1]) if found else 0
