"""A first look at a new target, at once: HAProxy's own first check comes later, and ELB takes one passed check for healthy."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from longshore.balancer.health import accepts
from longshore.services.elbv2.model import HealthCheck, Target, TargetGroup

_MOST_HEAD_BYTES = 64 * 1024


def can_probe(group: TargetGroup) -> bool:
    """HTTP/2 and the proxy protocol are left to HAProxy."""
    check = group.health_check
    if check.protocol == "TCP":
        return check.enabled
    is_plain = group.protocol_version != "HTTP2" and group.attributes.get("proxy_protocol_v2.enabled") != "true"
    return check.enabled and is_plain


async def passes(group: TargetGroup, target: Target) -> bool:
    """Whether the target passes its group's check now; takes no longer than the check's timeout."""
    check = group.health_check
    port = target.port if check.port == "traffic-port" else int(check.port)
    is_plain_tcp = check.protocol == "TCP" or group.protocol_version == "GRPC"
    context = _unverified() if check.protocol == "HTTPS" and not is_plain_tcp else None
    try:
        async with asyncio.timeout(check.timeout_s):
            reader, writer = await asyncio.open_connection(target.address, port, ssl=context, limit=_MOST_HEAD_BYTES)
            try:
                return is_plain_tcp or await _answers(reader, writer, check, f"{target.address}:{target.port}")
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError):
        return False


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, check: HealthCheck, host: str) -> bool:
    request = (
        f"GET {check.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ELB-HealthChecker/2.0\r\n"
        "Accept-Encoding: gzip, compressed\r\nConnection: close\r\n\r\n"
    )
    writer.write(request.encode("ascii"))
    await writer.drain()
    line = await reader.readuntil(b"\n")
    fields = line.split(None, 2)
    return len(fields) >= 2 and fields[0].startswith(b"HTTP/") and fields[1].isdigit() and accepts(check.http_codes, int(fields[1]))


def _unverified() -> ssl.SSLContext:
    """As in AWS, targets' certificates are not validated."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
