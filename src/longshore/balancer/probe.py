"""A first look at a new target, at once: HAProxy's own first check comes later, and ELB takes one passed check for healthy."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable

from longshore.balancer import hpack
from longshore.balancer.health import accepts
from longshore.balancer.render import grpc_check
from longshore.balancer.render.backends import question
from longshore.services.elbv2.model import HealthCheck, Target, TargetGroup

_MOST_HEAD_BYTES = 64 * 1024
_MOST_ANSWER_BYTES = 256
_ANSWER_S = 2.0
#: the proxy protocol's word for a connection that is not made for somebody else
_NOBODYS_CONNECTION = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
#: as HTTP/2 says GET
_GET = 0x82


def can_probe(group: TargetGroup) -> bool:
    return group.health_check.enabled


async def is_itself(target: Target) -> bool:
    """Whether the agent that can be asked says that the target's task is there; true where nobody can be."""
    if not target.identity:
        return True
    address, _, port = target.identity.partition(":")
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(address, int(port), limit=_MOST_ANSWER_BYTES)
            try:
                writer.write(question(target).encode())
                return (await reader.readline()).split()[:1] == [b"up"]
            finally:
                writer.close()
    except (OSError, EOFError, ValueError, TimeoutError):
        return False


async def passes(group: TargetGroup, target: Target) -> bool:
    """Whether the target passes its group's check now; takes no longer than the check's timeout."""
    check = group.health_check
    port = target.port if check.port == "traffic-port" else int(check.port)
    is_connection = check.protocol in ("TCP", "TLS")
    context = _unverified(group.protocol_version) if check.protocol in ("HTTPS", "TLS") else None
    try:
        async with asyncio.timeout(check.timeout_s):
            reader, writer = await asyncio.open_connection(target.address, port, limit=_MOST_HEAD_BYTES)
            try:
                if check.port == "traffic-port" and group.attributes.get("proxy_protocol_v2.enabled") == "true":
                    writer.write(_NOBODYS_CONNECTION)
                if context is not None:
                    await writer.start_tls(context)
                return is_connection or await _answers(group.protocol_version, reader, writer, check, f"{target.address}:{target.port}")
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError):
        return False


async def _answers(version: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, check: HealthCheck, host: str) -> bool:
    match version:
        case "GRPC":
            code = await _found(reader, writer, grpc_check.request(check, host), grpc_check.code_in)
        case "HTTP2":
            block = hpack.request_line(_GET, check.protocol, check.path) + hpack.authority(host)
            block += hpack.user_agent(b"ELB-HealthChecker/2.0")
            question = hpack.preface() + hpack.frame(hpack.HEADERS, hpack.END_HEADERS | hpack.END_STREAM, block)
            code = await _found(reader, writer, question, hpack.status_in)
        case _:
            code = await _http1(reader, writer, check, host)
    return code is not None and accepts(check.http_codes, code)


async def _found(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, question: bytes, code_in: Callable[[bytes], int | None]
) -> int | None:
    """What is looked for in the answer; None when it ends, or grows too long, without."""
    writer.write(question)
    await writer.drain()
    answer = b""
    while len(answer) < _MOST_HEAD_BYTES:
        more = await reader.read(_MOST_HEAD_BYTES)
        answer += more
        code = code_in(answer)
        if code is not None or not more:
            return code
    return None


async def _http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, check: HealthCheck, host: str) -> int | None:
    request = (
        f"GET {check.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ELB-HealthChecker/2.0\r\n"
        "Accept-Encoding: gzip, compressed\r\nConnection: close\r\n\r\n"
    )
    writer.write(request.encode("ascii"))
    await writer.drain()
    line = await reader.readuntil(b"\n")
    fields = line.split(None, 2)
    return int(fields[1]) if len(fields) >= 2 and fields[0].startswith(b"HTTP/") and fields[1].isdigit() else None


def _unverified(version: str) -> ssl.SSLContext:
    """As in AWS, targets' certificates are not validated."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version != "HTTP1":
        context.set_alpn_protocols(["h2"])
    return context
