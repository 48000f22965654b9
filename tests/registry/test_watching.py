"""What the registry tells whoever keeps records: pulls and pushes under ECR's names, each once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from longshore.audit.layout import new_key
from longshore.audit.log import AuditLog, open_audit_log
from longshore.aws.errors import Throttling
from longshore.gateway.auditing.pulls import RegistryRecords
from longshore.gateway.auditing.watcher import Auditor
from longshore.kit.ids import RandomIds
from longshore.services.call import Principal
from longshore.services.ecr.names import digest_of
from tests.registry.conftest import ALICE, SITE, Client, make_registry

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
LAYER = b"a layer" * 10_000


class Kept:
    def __init__(self, log: AuditLog) -> None:
        self.log = log

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for path in sorted(self.log.directory.glob("*.log")) for line in path.read_bytes().splitlines()]

    def names(self) -> list[str]:
        return [record["eventName"] for record in self.records()]


@pytest.fixture
async def kept(client: Client, tmp_path: Path) -> AsyncIterator[Kept]:
    log = await open_audit_log(tmp_path / "audit", new_key(), client.clock, "tests")
    records = RegistryRecords(Auditor(log, client.clock, RandomIds(), SITE), RandomIds(), SITE)
    client.registry = make_registry(client.store, client.blobs, client.clock, client.door, watch=records)
    yield Kept(log)
    await log.close()


async def push(client: Client) -> str:
    config = b"{}"
    for content in (config, LAYER):
        digest = digest_of(content)
        assert (await client.ask("HEAD", f"/v2/app/web/blobs/{digest}")).status == 404
        started = await client.ask("POST", "/v2/app/web/blobs/uploads/")
        sent = await client.ask("PATCH", started.headers["Location"], data=content)
        assert (await client.ask("PUT", f"{sent.headers['Location']}?digest={digest}")).status == 201
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": digest_of(config)},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": len(LAYER), "digest": digest_of(LAYER)}],
    }
    put = await client.ask("PUT", "/v2/app/web/manifests/1", data=json.dumps(manifest).encode(), headers={"Content-Type": MANIFEST_TYPE})
    assert put.status == 201
    return str(put.headers["Docker-Content-Digest"])


async def test_a_push_and_a_pull_are_told_in_ecrs_words(client: Client, kept: Kept) -> None:
    digest = await push(client)
    assert kept.names() == [*("InitiateLayerUpload", "CompleteLayerUpload") * 2, "PutImage"]
    put = kept.records()[-1]
    assert put["requestParameters"] == {"registryId": ALICE.account_id, "repositoryName": "app/web", "imageTag": "1"}
    assert put["responseElements"] == {"image": {"imageId": {"imageDigest": digest, "imageTag": "1"}}}
    assert (put["eventSource"], put["readOnly"], put["userIdentity"]["arn"]) == ("ecr.amazonaws.com", False, ALICE.arn)
    assert put["resources"][0]["type"] == "AWS::ECR::Repository"

    await client.ask("HEAD", "/v2/app/web/manifests/1")
    await client.ask("GET", "/v2/app/web/manifests/1")
    for content in (b"{}", LAYER):
        await (await client.ask("GET", f"/v2/app/web/blobs/{digest_of(content)}")).read()
    assert kept.names()[5:] == ["BatchGetImage", "GetDownloadUrlForLayer", "GetDownloadUrlForLayer"]
    assert kept.records()[5]["requestParameters"]["imageIds"] == [{"imageTag": "1"}]
    assert kept.records()[-1]["requestParameters"]["layerDigest"] == digest_of(LAYER)


async def test_what_the_fast_lane_sends_is_told_of_too_and_not_sent_where_it_cannot_be(client: Client, kept: Kept) -> None:
    await push(client)
    before = len(kept.names())
    path = f"/v2/app/web/blobs/{digest_of(LAYER)}"
    async with ClientSession() as fresh:  # a connection on which nothing but reads was asked for
        async with fresh.get(client.url(path), headers=client.headers) as answer:
            assert (answer.status, await answer.read()) == (200, LAYER)
        assert kept.names()[before:] == ["GetDownloadUrlForLayer"]
        kept.log.directory.rename(kept.log.directory.with_name("gone"))
        await client.clock.step(3600)  # the next file cannot be begun
        async with fresh.get(client.url(path), headers=client.headers) as answer:
            assert answer.status == 503
    kept.log.directory.with_name("gone").rename(kept.log.directory)


async def test_an_answer_that_only_the_general_way_can_send_is_told_of_once(client: Client, kept: Kept) -> None:
    await push(client)
    before = len(kept.names())
    ranged = await client.ask("GET", f"/v2/app/web/blobs/{digest_of(LAYER)}", headers={"Range": "bytes=0-99"})
    assert len(await ranged.read()) == 100
    assert (await client.ask("GET", f"/v2/app/web/blobs/{digest_of(LAYER)}?plain=no")).status == 200
    assert kept.names()[before:] == ["GetDownloadUrlForLayer"] * 2


async def test_refusals_say_why_and_what_is_not_there_that_it_is_not(client: Client, kept: Kept) -> None:
    client.door.refused.add(("ecr:PutImage", "*"))
    assert (await client.ask("PUT", "/v2/app/web/manifests/1", data=b"{}")).status == 403
    assert (await client.ask("GET", "/v2/app/web/manifests/none")).status == 404
    assert (await client.ask("GET", "/v2/app/none/manifests/1")).status == 404
    told = [(record["eventName"], record["errorCode"]) for record in kept.records()]
    assert told == [
        ("PutImage", "AccessDenied"),
        ("BatchGetImage", "ImageNotFoundException"),
        ("BatchGetImage", "RepositoryNotFoundException"),
    ]
    assert "is not authorized to perform: ecr:PutImage" in kept.records()[0]["errorMessage"]


async def test_dockers_first_question_is_no_attempt_and_a_wrong_password_is_one(client: Client, kept: Kept) -> None:
    client.headers = {}
    assert (await client.ask("GET", "/v2/")).status == 401
    assert kept.records() == []
    for _ in range(3):
        assert (await client.ask("GET", "/v2/", headers={"Authorization": "Basic QVdTOng="})).status == 401
    (record,) = kept.records()
    assert (record["userIdentity"], record["eventName"], record["errorCode"]) == (
        {"type": "Unknown"},
        "GetAuthorizationToken",
        "UNAUTHORIZED",
    )


async def test_nothing_is_pulled_that_cannot_be_recorded(client: Client, kept: Kept) -> None:
    await push(client)

    kept.log.directory.rename(kept.log.directory.with_name("gone"))
    await client.clock.step(3600)  # the next file cannot be begun
    for path in ("manifests/1", f"blobs/{digest_of(LAYER)}", f"blobs/{digest_of(b'{}')}"):
        assert (await client.ask("GET", f"/v2/app/web/{path}")).status == 503
    kept.log.directory.with_name("gone").rename(kept.log.directory)


async def test_pulls_that_are_too_much_are_told_once_and_then_counted(client: Client, tmp_path: Path) -> None:
    def full(principal: Principal, action: str) -> None:
        raise Throttling

    log = await open_audit_log(tmp_path / "audit", new_key(), client.clock, "tests")
    auditor = Auditor(log, client.clock, RandomIds(), SITE)
    records = RegistryRecords(auditor, RandomIds(), SITE)
    client.registry = make_registry(client.store, client.blobs, client.clock, client.door, watch=records, admit=full)
    assert [(await client.ask("GET", "/v2/app/web/manifests/1")).status for _ in range(9)] == [429] * 9
    auditor.tick(at_the_end=True)
    first, rest = Kept(log).records()
    for record in (first, rest):
        assert (record["eventName"], record["errorCode"], record["userIdentity"]["arn"]) == (
            "BatchGetImage",
            "ThrottlingException",
            ALICE.arn,
        )
    assert rest["additionalEventData"]["furtherAttempts"] == 8
    await log.close()
