"""boto3 as users have it: the waiter for a certificate ends when the controller has issued it, and pages come to an end."""

from __future__ import annotations

import asyncio
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from longshore.control.certificates.controller import Certificates
from longshore.control.loop import Loop
from longshore.kit.certificates import Authority, certificates
from longshore.kit.clock import SystemClock
from longshore.kit.ids import RandomIds
from longshore.services.iam.identities import ensure_root
from longshore.store.memory import memory_store
from longshore.store.memory_blobs import MemoryBlobStore
from tests.sweeps.installation import KINDS, OWNER, REGION, ROOT, SIGNING_SECRET, Installation


class Systems(SystemClock):
    """The time of day: signatures of a real client are of today."""


async def test_the_waiter_for_a_certificate_ends_and_listings_come_to_an_end() -> None:
    clock = Systems()
    store = memory_store(KINDS)
    await store.transact(lambda tx: ensure_root(tx, OWNER, ROOT.access_key_id, ROOT.secret, 0.0))
    there = Installation(store, MemoryBlobStore(), clock)  # type: ignore[arg-type]  # any clock does
    authority = Authority.make("Longshore test", clock.now())
    loop = asyncio.create_task(Loop(Certificates(store, clock, lambda now: authority, SIGNING_SECRET), store, clock, RandomIds()).run())
    async with there.over_http():
        acm: Any = boto3.client(
            "acm",
            endpoint_url=f"http://127.0.0.1:{there.port}",
            region_name=REGION,
            aws_access_key_id=ROOT.access_key_id,
            aws_secret_access_key=ROOT.secret,
            config=Config(retries={"total_max_attempts": 1}),
        )

        def as_a_user() -> None:
            arns = {
                acm.request_certificate(DomainName=f"n{number}.example", ValidationMethod="DNS")["CertificateArn"] for number in range(3)
            }
            for arn in arns:
                acm.get_waiter("certificate_validated").wait(CertificateArn=arn, WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
                got = acm.get_certificate(CertificateArn=arn)
                certificates(got["Certificate"].encode())[0].verify_directly_issued_by(authority.certificate)
            pages = acm.get_paginator("list_certificates").paginate(PaginationConfig={"PageSize": 2})
            assert {each["CertificateArn"] for page in pages for each in page["CertificateSummaryList"]} == arns
            with pytest.raises(ClientError) as raised:
                acm.import_certificate(Certificate=b"nonsense", PrivateKey=b"nonsense")
            assert raised.value.response["Error"]["Code"] == "ValidationException"

        await asyncio.to_thread(as_a_user)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    await store.close()
