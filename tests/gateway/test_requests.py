"""The way of a request through the gateway: who is let in, what is refused, and in whose words."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from msgspec.structs import replace

from longshore.gateway.app import Gateway
from longshore.gateway.request import MOST_BODY, MOST_LAYER_PART
from longshore.services.iam.identities import ensure_root
from longshore.store.base import Store
from tests.gateway.conftest import ACCOUNT, KEY, Client


def code_of(body: bytes) -> str:
    return str(json.loads(body)["__type"])


async def test_a_signed_request_is_answered_with_its_request_id(client: Client) -> None:
    answer = await client.query("Action=GetCallerIdentity&Version=2011-06-15")
    assert answer.status == 200
    assert f"<Arn>arn:aws:iam::{ACCOUNT}:root</Arn>" in answer.text
    assert answer.headers["x-amzn-RequestId"] in answer.text


async def test_an_unsigned_request_learns_nothing(client: Client) -> None:
    async with client.session.post(client.url + "/", data=b"Action=GetCallerIdentity&Version=2011-06-15") as answer:
        assert answer.status == 403
        assert "MissingAuthenticationToken" in await answer.text()


async def test_who_leaves_in_the_middle_of_a_request_is_nothing_for_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    port = int(client.url.rpartition(":")[2])
    for head in (b"Content-Length: 10", b"Transfer-Encoding: chunked"):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n5\r\nhal" % head)
        await writer.drain()
        assert (await client.query("Action=GetCallerIdentity&Version=2011-06-15")).status == 200
        writer.transport.abort()
        for _ in range(3):
            assert (await client.query("Action=GetCallerIdentity&Version=2011-06-15")).status == 200
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"secret": "wrong"}, "InvalidSignatureException"),
        ({"key": "AKIAUNKNOWNUNKNOWN00"}, "UnrecognizedClientException"),
        ({"skew_s": -16 * 60}, "InvalidSignatureException"),
        ({"skew_s": 16 * 60}, "InvalidSignatureException"),
        ({"sent_body": b'{"clusters":["other"]}'}, "InvalidSignatureException"),
        ({"tamper": {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.DeleteCluster"}}, "InvalidSignatureException"),
    ],
    ids=["wrong secret", "unknown key", "too old", "from the future", "another body", "another operation"],
)
async def test_a_signature_that_does_not_hold_is_refused(client: Client, change: dict[str, object], code: str) -> None:
    answer = await client.json("ListClusters", **change)
    assert answer.status in (400, 403)
    assert code_of(answer.body) == code


async def test_a_signature_for_one_service_opens_no_other(client: Client) -> None:
    headers = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListClusters", "Content-Type": "application/x-amz-json-1.1"}
    answer = await client.send(b"{}", headers, service="ecr")
    assert code_of(answer.body) == "InvalidSignatureException"
    assert "scoped to correct service: 'ecs'" in answer.text


async def test_an_operation_not_served_is_refused_by_name(client: Client) -> None:
    answer = await client.json("CreateDaemon")
    assert (answer.status, code_of(answer.body)) == (400, "UnknownOperationException")
    assert "CreateDaemon" in answer.text
    answer = await client.query("Action=AssumeRoot&Version=2011-06-15")
    assert answer.status == 400
    assert "<Code>InvalidAction</Code>" in answer.text
    assert "AssumeRoot" in answer.text


async def test_an_operation_nobody_has_is_refused(client: Client) -> None:
    assert code_of((await client.json("MakeCoffee")).body) == "UnknownOperationException"
    assert "<Code>InvalidAction</Code>" in (await client.query("Action=MakeCoffee&Version=2011-06-15")).text
    assert "<Code>InvalidAction</Code>" in (await client.query("Version=2011-06-15")).text


async def test_a_version_of_another_api_is_not_taken_for_this_one(client: Client) -> None:
    """Classic load balancers and the later ones share a name to sign for, and names of operations."""
    asked = "Action={}&Version={}"
    for operation, version in (
        ("DescribeTargetGroups", "2012-06-01"),
        ("DescribeInstanceHealth", "2015-12-01"),
        ("DescribeTags", "2011-11-15"),
    ):
        answer = await client.query(asked.format(operation, version), service="elasticloadbalancing")
        assert "<Code>InvalidAction</Code>" in answer.text
    answer = await client.query(asked.format("DescribeLoadBalancers", "2012-06-01"), service="elasticloadbalancing")
    assert "<LoadBalancerDescriptions" in answer.text


@pytest.mark.parametrize(
    "body", [b"nonsense", b"[1]", b'{"clusters": 7}', b'{"clusters": ["a"', b"\xff\xfe", b'{"clusters": [1]}', b'{"clusters": [{}]}']
)
async def test_a_malformed_body_is_a_clear_error(client: Client, body: bytes) -> None:
    answer = await client.json("DescribeClusters", body)
    assert answer.status == 400
    assert code_of(answer.body) in ("SerializationException", "InvalidParameterException")
    assert json.loads(answer.body)["message"]


async def test_no_body_asks_for_nothing_in_particular(client: Client) -> None:
    assert (await client.json("DescribeClusters", b"")).status == 200


async def test_unknown_members_are_ignored_as_aws_does(client: Client) -> None:
    assert (await client.json("DescribeClusters", b'{"clusters": ["a"], "somethingNew": {"x": 1}}')).status == 200


async def test_a_body_over_the_limit_is_refused_before_it_is_read(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(client.url.rsplit(":", 1)[1]))
    writer.write(
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonEC2ContainerServiceV20141113.ListClusters\r\n"
        b"Content-Length: %d\r\n\r\n" % (MOST_BODY + 1)
    )
    status = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    assert b"413" in status


@pytest.mark.parametrize(
    ("target", "key", "size", "status"),
    [
        ("UploadLayerPart", KEY, MOST_BODY + 1, b"100"),  # go on
        ("UploadLayerPart", KEY, MOST_LAYER_PART, b"100"),
        ("UploadLayerPart", KEY, MOST_LAYER_PART + 1, b"413"),
        ("UploadLayerPart", "AKIANOBODYNOBODY0000", MOST_BODY + 1, b"413"),
        ("UploadLayerPart", "", MOST_BODY + 1, b"413"),
        ("PutImage", KEY, MOST_BODY + 1, b"413"),
    ],
)
async def test_only_a_part_of_a_layer_from_somebody_known_may_be_larger(
    client: Client, target: str, key: str, size: int, status: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(client.url.rsplit(":", 1)[1]))
    credential = f"AWS4-HMAC-SHA256 Credential={key}/20261127/us-east-1/ecr/aws4_request" if key else ""
    head = (
        f"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonEC2ContainerRegistry_V20150921.{target}\r\n"
        f"Authorization: {credential}\r\nExpect: 100-continue\r\nContent-Length: {size}\r\n\r\n"
    )
    writer.write(head.encode())
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    assert line.split()[1] == status


async def test_a_header_over_the_limit_is_refused(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(client.url.rsplit(":", 1)[1]))
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n")
    status = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    assert b" 400 " in status or b" 431 " in status


async def test_connections_are_kept_and_closed_when_draining(client: Client, gateway: Gateway) -> None:
    first = await client.query("Action=GetCallerIdentity&Version=2011-06-15")
    assert "Connection" not in first.headers
    gateway.drain()
    last = await client.query("Action=GetCallerIdentity&Version=2011-06-15")
    assert (last.status, last.headers["Connection"]) == (200, "close")


async def test_a_user_without_a_policy_may_ask_who_it_is_and_nothing_else(client: Client, store: Store) -> None:
    await client.query("Action=CreateUser&Version=2010-05-08&UserName=ann", service="iam")
    made = (await client.query("Action=CreateAccessKey&Version=2010-05-08&UserName=ann", service="iam")).text
    key = made.split("<AccessKeyId>")[1].split("<")[0]
    secret = made.split("<SecretAccessKey>")[1].split("<")[0]
    assert (await client.query("Action=GetCallerIdentity&Version=2011-06-15", key=key, secret=secret)).status == 200
    denied = await client.json("ListClusters", key=key, secret=secret)
    assert (denied.status, code_of(denied.body)) == (400, "AccessDeniedException")
    assert f"User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized to perform: ecs:ListClusters" in denied.text


async def test_a_key_switched_off_is_nobodys(client: Client, store: Store) -> None:
    from longshore.services.iam.model import ACCESS_KEYS

    await store.transact(lambda tx: ensure_root(tx, ACCOUNT, "AKIAOTHEROTHEROTHER0", "othersecret", 0.0))
    key = store.get(ACCESS_KEYS, "AKIAOTHEROTHEROTHER0")
    assert key is not None
    await store.transact(lambda tx: tx.put(ACCESS_KEYS, replace(key, status="Inactive")))
    answer = await client.json("ListClusters", key="AKIAOTHEROTHEROTHER0", secret="othersecret")
    assert code_of(answer.body) == "UnrecognizedClientException"


async def test_the_well_known_keys_work_in_dev_mode_only(client: Client) -> None:
    answer = await client.json("ListClusters", key="test", secret="test")
    assert code_of(answer.body) == "UnrecognizedClientException"
