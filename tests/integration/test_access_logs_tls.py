"""Access and connection logs of listeners with TLS, and of network load balancers: certificates, handshakes, names, WebSockets."""

from __future__ import annotations

import asyncio
import gzip
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.balancer.access_log.reader import Reader
from tests.balancer.lab import Client, Lab, forward, laboratory, until
from tests.balancer.tls import SECRET, context, put_certificate

pytestmark = pytest.mark.engine("haproxy")

_LOGS = {
    f"{kind}__s3__{key}": value for kind in ("access_logs", "connection_logs") for key, value in (("enabled", "true"), ("bucket", "logs"))
}


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path / "haproxy", installation_secret=SECRET) as lab:
        yield lab


def written(lab: Lab) -> list[list[str]]:
    """Lines of access logs, then those of connection logs."""
    reader = Reader(lab.directory / "lines", lab.directory / "legends", lab.directory / "state", lab.directory / "buckets")
    reader.open()
    while reader.step(time.time()):
        pass
    reader.finish(time.time())
    files = sorted((lab.directory / "buckets").rglob("*.log.gz"))
    lines = [line for file in files for line in gzip.decompress(file.read_bytes()).decode("ascii").splitlines()]
    return [[field.strip('"') for field in re.findall(r'"[^"]*"|[^" ]+', line)] for line in lines]


def raw(lab: Lab, kind: bytes) -> int:
    return sum(line.startswith(b"@" + kind) for line in (lab.directory / "lines").read_bytes().split(b"\n"))


async def test_a_request_over_tls_names_its_certificate_and_its_connection_is_told_once(lab: Lab) -> None:
    upstream, group = await lab.upstream("a"), await lab.group()
    await lab.register(group, upstream)
    default, other = await put_certificate(lab, "one.test"), await put_certificate(lab, "two.test")
    lb = await lab.load_balancer(**_LOGS)
    await lab.listener(lb, forward(group), protocol="HTTPS", certificates=(default, other))
    await lab.healthy(group, upstream)
    client = await until(lambda: Client.connect(lab.address(), lab.port, ssl=context(), server_hostname="two.test"))
    for _ in range(2):
        assert (await client.request("/x", host="two.test")).status == 200
    await client.close()
    _, writer = await asyncio.open_connection(lab.address(), lab.port)
    writer.write(b"no handshake at all\r\n\r\n")
    await until(lambda: raw(lab, b"R") >= 2 and raw(lab, b"F") >= 1)
    writer.close()
    lines = written(lab)
    requests, connections = [line for line in lines if len(line) == 34], [line for line in lines if len(line) == 12]
    assert [(line[0], line[18], line[19]) for line in requests] == [("https", "two.test", other)] * 2
    assert all(line[15].startswith("TLSv1.") and line[14] != "-" for line in requests)
    (made,) = [line for line in connections if line[10] == "Success"]
    assert (made[3], made[11]) == (str(lab.port), requests[0][29])
    assert [line[10].partition(":")[0] for line in connections if line is not made] == ["Failed"]


async def test_a_network_load_balancer_tells_of_connections_with_tls(lab: Lab) -> None:
    upstream, group = await lab.upstream("a"), await lab.group(protocol="TCP")
    await lab.register(group, upstream)
    certificate = await put_certificate(lab, "one.test")
    lb = await lab.load_balancer(type="network", **{key: value for key, value in _LOGS.items() if key.startswith("access")})
    await lab.listener(lb, forward(group), protocol="TLS", certificates=(certificate,))
    await lab.healthy(group, upstream)
    client = await until(lambda: Client.connect(lab.address(), lab.port, ssl=context(), server_hostname="one.test"))
    await client.request("/x")
    await client.close()
    await until(lambda: raw(lab, b"C"))
    (line,) = written(lab)
    assert (len(line), line[0], line[6], line[12], line[17]) == (22, "tls", f"127.0.0.1:{upstream.port}", certificate, "one.test")
    assert int(line[9]) > 0 and int(line[10]) > 0
