"""ECR's operations called as the gateway calls them: requests parsed from JSON, answers rendered and read back by botocore."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import botocore.parsers
import botocore.session
import pytest

from longshore.aws.errors import AwsError
from longshore.aws.protocol import json as codec
from longshore.aws.shapes import ecr as shapes
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.services.call import Call, Principal, Site
from longshore.services.ecr import operations
from longshore.services.ecr.api import api
from longshore.services.ecr.encryption.keys import ensure_encryption
from longshore.services.ecr.images import record_blob
from longshore.services.ecr.kinds import KINDS
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.services.iam import kinds as iam_kinds
from longshore.store.memory import memory_store
from longshore.store.memory_blobs import MemoryBlobStore

assert operations  # importing it registers them

ACCOUNT, REGION = "000000000000", "us-east-1"
SITE = Site(account_id=ACCOUNT, region=REGION, zones=("us-east-1a",), endpoint="http://127.0.0.1:4566", port=4566)
ALICE = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/alice", "AIDAALICE", "AKIAALICE")


@dataclass
class Ecr:
    """`await ecr("CreateRepository", repositoryName="web")` gives what boto3 would give, or raises the AwsError."""

    call: Call
    clock: SteppedClock

    async def __call__(self, operation: str, **members: Any) -> dict[str, Any]:
        return await self.as_caller(self.call, operation, **members)

    async def as_caller(self, call: Call, operation: str, **members: Any) -> dict[str, Any]:
        shape = shapes.OPERATIONS[operation]
        request = codec.parse(shapes.MODEL, shape, json.dumps(members).encode())
        declared = api.operations[operation]
        assert list(declared.resource(call, request))
        if declared.conditions is not None:
            declared.conditions(call, request)
        response = await declared.handle(call, request)
        body, _ = codec.render(shapes.MODEL, shape, response, "request-1")
        model = botocore.session.get_session().get_service_model("ecr").operation_model(operation)
        parsed = botocore.parsers.create_parser("json").parse({"body": body, "headers": {}, "status_code": 200}, model.output_shape)
        parsed.pop("ResponseMetadata")
        return dict(parsed)

    async def refused(self, operation: str, **members: Any) -> tuple[str, str]:
        """(code, message) of the error."""
        with pytest.raises(AwsError) as caught:
            await self(operation, **members)
        return caught.value.wire("json")[0], caught.value.message

    def in_region(self, region: str) -> Ecr:
        return replace(self, call=replace(self.call, region=region))

    async def store_blob(self, name: str, content: bytes) -> str:
        digest = digest_of(content)
        await self.call.blobs.put(content, digest)
        meant = RepositoryId(REGION, ACCOUNT, name)
        await self.call.store.transact(lambda tx: record_blob(tx, meant, digest, len(content), self.clock.now()))
        return digest


@pytest.fixture
async def ecr() -> AsyncIterator[Ecr]:
    clock = SteppedClock()
    store = memory_store((*KINDS, *iam_kinds.KINDS))
    call = Call(
        store=store,
        blobs=MemoryBlobStore(clock=clock),
        clock=clock,
        ids=SeededIds(),
        site=SITE,
        principal=ALICE,
        account_id=ACCOUNT,
        region=REGION,
        request_id="request-1",
        source_ip="127.0.0.1",
        base_url="http://127.0.0.1:4566",
        secret_for_signing=b"s" * 32,
    )
    await store.transact(lambda tx: ensure_encryption(tx, call.secret_for_signing, always=False))
    yield Ecr(call, clock)
    await store.close()
