"""Heads nobody should send, to the API's own path and others: unsigned, half signed, and signed for something that is not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.sweeps.installation import Installation
from tests.sweeps.junk import STRINGS

PATIENCE_S = 5.0
SIGNED = (
    b"Authorization: AWS4-HMAC-SHA256 Credential=AKIAROOTROOTROOTROOT/20231114/us-east-1/ecs/aws4_request, "
    b"SignedHeaders=host;x-amz-date, Signature=0\r\nX-Amz-Date: 20231114T221320Z\r\n"
)
TARGETS = (
    *(b"/", b"/%ff", b"/v3/%00", b"/\xff?\xff", b"/?Action=%ff&Version=%00", b"/?Action=ListUsers", b"/..//../", b"*"),
    *(b"http://[/", b"/_longshore"),
    b"/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%ff/%00&X-Amz-Date=%ff&X-Amz-SignedHeaders=%ff&X-Amz-Expires=%ff&X-Amz-Signature=%ff",
    b"/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=1e9&X-Amz-Expires=-1&X-Amz-Date=00000000T000000Z",
)  # fmt: skip
NAMES = (
    *(b"Authorization", b"X-Amz-Date", b"X-Amz-Target", b"X-Amz-Security-Token", b"X-Amz-Content-Sha256", b"Host", b"Date"),
    b"Content-Type",
    *(b"User-Agent", b"Smithy-Protocol", b"\xff", b"X-\xff", b"Connection"),
)  # fmt: skip
VALUES = (
    *(b"", b"\xff\xfe", "é".encode(), b"\xed\xa0\x80", b"AWS4-HMAC-SHA256", b"AWS4-HMAC-SHA256 \xff", b"x" * 7000),
    b"AWS4-HMAC-SHA256 Credential=,,,=",
    b"AWS4-HMAC-SHA256 Credential=\xff/20200101/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=\xff",
    b"AWS4-HMAC-SHA256 Credential=A/\xff/us-east-1/ecs/aws4_request, SignedHeaders=\xff, Signature=0",
    b"AmazonEC2ContainerServiceV20141113.\xff",
    b"00000000T000000Z",
    b"99991231T235959Z",
)  # fmt: skip


@pytest.fixture
async def port(there: Installation) -> AsyncIterator[int]:
    async with there.over_http():
        yield there.port


async def status(port: int, request: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(PATIENCE_S):
        answer = await reader.read()
    writer.close()
    return int(answer.split(None, 2)[1])


@pytest.mark.parametrize("target", TARGETS)
async def test_no_head_is_the_servers_failure(there: Installation, port: int, target: bytes) -> None:
    before = there.store.revision
    for name in NAMES:
        for value in VALUES:
            for signed in (b"", SIGNED):
                host = b"" if name == b"Host" else b"Host: x\r\n"
                head = b"POST %b HTTP/1.1\r\n%b%b: %b\r\n%bConnection: close\r\nContent-Length: 2\r\n\r\n{}"
                found = await status(port, head % (target, host, name, value, signed))
                assert 400 <= found < 500, (name, value, found)
    assert there.store.revision == before


async def test_operations_that_are_not_there_are_refused_by_whatever_name(there: Installation) -> None:
    before = there.store.revision
    for text in STRINGS:
        if "\r" in text or "\n" in text or len(text) > 4000:
            continue  # cannot stand in a header
        for target in (text, f"AmazonEC2ContainerServiceV20141113.{text}", f"{text}.ListClusters"):
            headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
            answer = await there.send("ecs", "ListClusters", b"{}", headers)
            assert (answer.status, answer.code) == (400, "UnknownOperationException"), target
    assert there.store.revision == before


async def test_forms_that_name_no_operation_are_refused(there: Installation) -> None:
    before = there.store.revision
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (
        b"",
        b"Action",
        b"Action=",
        b"Action=%00&Version=2010-05-08",
        b"Action=ListUsers&Version=%ff",
        b"Action=ListUsers&Version=x",
        b"&" * 30_000,
    ):
        answer = await there.send("iam", "ListUsers", body, headers)
        assert (answer.status, answer.code) == (400, "InvalidAction"), body[:60]
    for body in (b"Action=ListUsers&Action=DeleteUser&Version=2010-05-08", b"Version=2010-05-08&Action=%4cistUsers"):
        answer = await there.send("iam", "ListUsers", body, headers)
        assert answer.status in (200, 400)
    assert there.store.revision <= before + 1  # when the key was last used
