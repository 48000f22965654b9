"""Access logs of a running HAProxy: requests of every kind, and the lines that come of them."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import signal
import socket
import struct
import time
from pathlib import Path

import pytest

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.access_log.reader import Reader
from longshore.services.elbv2.model import LISTENERS
from tests.balancer.lab import Lab, Upstream, ask, fixed, forward, laboratory, paths, until

pytestmark = pytest.mark.engine("haproxy")

#: the fields of a line as public parsers take them: quoted ones may hold spaces
_FIELD = re.compile(r'"((?:[^"\\]|\\x[0-9A-F]{2})*)"|(\S+)')
_LOGS = {"access_logs__s3__enabled": "true", "access_logs__s3__bucket": "logs", "access_logs__s3__prefix": "web/a"}


def fields(line: str) -> list[str]:
    assert re.fullmatch(rf"(?:{_FIELD.pattern})(?: (?:{_FIELD.pattern}))*", line), line
    return [found[1] if found[1] is not None else found[2] for found in _FIELD.finditer(line)]


def reader_of(lab: Lab) -> Reader:
    haproxy = lab.directory
    return Reader(haproxy / "lines", haproxy / "legends", lab.directory / "state", lab.directory / "buckets")


def read_all(lab: Lab) -> list[list[str]]:
    """Finishes the files, and reads them as whoever collects them would."""
    reader = reader_of(lab)
    reader.open()
    for _ in range(3):
        while reader.step(time.time()):
            pass
        reader.next(time.time())
    reader.finish(time.time())
    files = sorted((lab.directory / "buckets").rglob("*.log.gz"))
    lines = [fields(line) for file in files for line in gzip.decompress(file.read_bytes()).decode("ascii").splitlines()]
    return sorted(lines, key=lambda line: line[21])  # each of HAProxy's threads writes for itself


async def logging_lab(lab: Lab, *upstreams: Upstream) -> None:
    lb, group = await lab.load_balancer(**_LOGS), await lab.group()
    await lab.register(group, *upstreams)
    listener = await lab.listener(lb, forward(group))
    await lab.rule(listener, 10, [paths("/fixed")], fixed(503, "no"))
    redirect = shapes.RedirectActionConfig(status_code="HTTP_301", path="/new", query="")
    await lab.rule(listener, 20, [paths("/old")], shapes.Action(type="redirect", redirect_config=redirect))
    await lab.settled()
    await lab.healthy(group, *upstreams)


async def test_a_request_becomes_a_line_with_its_target_rule_and_trace(tmp_path: Path) -> None:
    async with laboratory(tmp_path / "h") as lab:
        upstream = await lab.upstream("a")
        await logging_lab(lab, upstream)
        answer = await lab.ask("/x?a=1", headers=[("User-Agent", 'a "b" \\ c')])
        trace = dict(answer.seen["headers"])["x-amzn-trace-id"]
        line = (await until(lambda: read_all(lab)))[0]
        assert len(line) == 34
        port = lab.port
        assert (line[0], line[2]) == ("http", f"app/web/{1:016x}")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line[1])
        assert line[4] == line[25] == f"127.0.0.1:{upstream.port}"
        assert all(re.fullmatch(r"\d+\.\d{3}", time) for time in line[5:8])
        assert line[8:10] == ["200", "200"]
        assert line[12] == f"GET http://x.test:{port}/x?a=1 HTTP/1.1"
        assert line[13] == r"a \x22b\x22 \x5C c"
        assert line[14:16] == ["-", "-"]
        assert line[16].startswith("arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/")
        assert line[17] == trace
        assert (line[20], line[22]) == ("0", "forward")
        assert line[29].startswith("TID_") and len(line[29]) == 36


async def test_what_the_load_balancer_answers_itself_has_no_target(tmp_path: Path) -> None:
    async with laboratory(tmp_path / "h") as lab:
        await logging_lab(lab, await lab.upstream("a"))
        await lab.ask("/fixed")
        await lab.ask("/old")
        await lab.ask("/", method="TRACE")
        await until(lambda: len(raw_lines(lab)) >= 3)
        fixed_line, redirect, trace = read_all(lab)
        assert (fixed_line[4], fixed_line[5:10], fixed_line[20], fixed_line[22]) == (
            "-",
            ["-1", "-1", "-1", "503", "-"],
            "10",
            "fixed-response",
        )
        assert (redirect[8], redirect[20], redirect[22]) == ("301", "20", "redirect")
        assert redirect[23] == f"http://x.test:{lab.port}/new"
        assert (trace[8], trace[20], trace[22]) == ("405", "-", "-")
        assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", fixed_line[17])


def raw_lines(lab: Lab) -> list[bytes]:
    spools = [path.read_bytes() for path in lab.directory.glob("lines*")]
    return [line for spool in spools for line in spool.split(b"\n") if line.startswith(b"@")]


async def test_clients_that_leave_early_and_targets_that_hang_up_are_noted(tmp_path: Path) -> None:
    async with laboratory(tmp_path / "h") as lab:
        upstream = await lab.upstream("a")
        await logging_lab(lab, upstream)
        _, writer = await asyncio.open_connection(lab.address(), lab.port)
        writer.write(b"GET /hold HTTP/1.1\r\nHost: x.test\r\n\r\n")
        await until(lambda: "/hold" in upstream.asked)
        # a reset: an end alone may be of a client that still listens
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await until(lambda: raw_lines(lab))
        held = asyncio.create_task(lab.ask("/hold2"))
        await until(lambda: "/hold2" in upstream.asked)
        for connection in list(upstream._connections):
            connection.transport.abort()
        assert (await held).status == 502
        await until(lambda: len(raw_lines(lab)) >= 2)
        left, hung_up = read_all(lab)
        assert left[8:10] == ["460", "-"]
        assert hung_up[8:10] == ["502", "-"] and hung_up[6] == "-1"
        upstream.release.set()


async def status_for(lab: Lab, header: bytes) -> int:
    reader, writer = await asyncio.open_connection(lab.address(), lab.port)
    writer.write(b"GET /" + b"p" * 300 + b"?q={|} HTTP/1.1\r\nHost: x.test\r\nConnection: close\r\n" + header + b"\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return int(answer.split(b" ", 2)[1])


async def test_whatever_clients_send_stays_in_its_field(tmp_path: Path) -> None:
    agents = [b'"', b"\\", b"a\tb", b"|{}#22", b"\xff\xfe", b'x" 200 "y', "ü".encode(), b"%n%20", b"z" * 9000]
    async with laboratory(tmp_path / "h") as lab:
        await logging_lab(lab, await lab.upstream("a"))
        for agent in agents:
            # what is no text is too much for the server of the laboratory
            assert await status_for(lab, b"User-Agent: " + agent) in (200, 502), agent
        await until(lambda: len(raw_lines(lab)) >= len(agents))
        lines = read_all(lab)
        assert len(lines) == len(agents) and all(len(line) == 34 for line in lines)
        told = [re.sub(rb"\\x([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), line[13].encode()) for line in lines]
        assert told == [agent[:8192] for agent in agents]


async def test_lines_of_before_and_after_reloads_are_all_there_and_none_comes_twice(tmp_path: Path) -> None:
    async with laboratory(tmp_path / "h") as lab:
        upstream = await lab.upstream("a")
        await logging_lab(lab, upstream)
        (listener,) = lab.store.list(LISTENERS)
        held = asyncio.create_task(lab.ask("/hold"))
        await until(lambda: "/hold" in upstream.asked)
        for number in range(4):
            await lab.rule(listener, 100 + number, [paths(f"/{number}")], fixed(200))
            await lab.settled()
            await lab.ask("/between")
        upstream.release.set()
        await held
        await until(lambda: len(raw_lines(lab)) >= 5)
        lines = read_all(lab)
        assert sorted(line[12].split()[1].rpartition("/")[2] for line in lines) == ["between"] * 4 + ["hold"]
        # read again from a checkpoint, nothing comes twice
        assert len(read_all(lab)) == 5


async def test_a_load_balancer_without_logs_notes_errors_alone(tmp_path: Path) -> None:
    async with laboratory(tmp_path / "h") as lab:
        upstream = await lab.upstream("a")
        await lab.serving(upstream)
        await lab.ask("/")
        await upstream.close()
        assert (await lab.ask("/")).status in (502, 503)
        await until(lambda: raw_lines(lab))
        assert len(raw_lines(lab)) == 1
        assert read_all(lab) == []


async def test_haproxy_that_is_killed_leaves_every_line_it_has_written(tmp_path: Path) -> None:
    async with laboratory(tmp_path / "h") as lab:
        await logging_lab(lab, await lab.upstream("a"))
        for _ in range(20):
            await lab.ask("/")
        await until(lambda: len(raw_lines(lab)) == 20)
        pid = lab.balancer.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: lab.balancer.pid != pid and lab.balancer.pid is not None)
        await until(lambda: ask(lab.address(), lab.port))
        await until(lambda: len(raw_lines(lab)) >= 21)
        assert len(read_all(lab)) >= 21
