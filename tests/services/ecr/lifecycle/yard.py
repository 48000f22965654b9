"""A repository with images of any age in it, and the lifecycle controller at hand: for tests of what meets over the store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import botocore.parsers
import botocore.session

from longshore.aws.operation import OWN_PREFIX
from longshore.aws.protocol import json as codec
from longshore.control.lifecycle.controller import Lifecycle
from longshore.gateway.catalogue import served
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.services.call import Call
from longshore.services.ecr.kinds import KINDS
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, REGISTRY_EVENTS, REPOSITORIES, Image, ImageTag, Repository
from longshore.services.ecr.names import RepositoryId
from longshore.services.ecs import kinds as ecs_kinds
from longshore.services.iam import kinds as iam_kinds
from longshore.store.base import Store, Tx
from longshore.store.memory import memory_store
from longshore.store.memory_blobs import MemoryBlobStore
from tests.services.ecr.conftest import ACCOUNT, ALICE, REGION, SITE, Ecr
from tests.services.ecr.lifecycle.policies import NOW, image
from tests.sweeps.own_operations import own_operation_model

WEB = RepositoryId(REGION, ACCOUNT, "web")


@dataclass
class Yard(Ecr):
    """Asks for operations of ours as well, and knows the controller."""

    controller: Lifecycle

    @property
    def store(self) -> Store:
        return self.call.store

    async def as_caller(self, call: Call, operation: str, **members: Any) -> dict[str, Any]:
        api = served("ecr")
        shape, declared = api.shapes[operation], api.operations[operation]
        request = codec.parse(api.model, shape, json.dumps(members).encode())
        response = await declared.handle(call, request)
        body, _ = codec.render(api.model, shape, response, "request-1")
        if operation.startswith(OWN_PREFIX):
            model = own_operation_model("ecr", shape)
        else:
            model = botocore.session.get_session().get_service_model("ecr").operation_model(operation)
        parsed = botocore.parsers.create_parser("json").parse({"body": body, "headers": {}, "status_code": 200}, model.output_shape)
        parsed.pop("ResponseMetadata")
        return dict(parsed)

    async def put(self, *images: Image, tags: dict[str, tuple[str, ...]] | None = None) -> None:
        """As they are; pushed at whatever time."""

        def put(tx: Tx) -> None:
            for each in images:
                tx.put(IMAGES, each)
            for digest, names in (tags or {}).items():
                for name in names:
                    tx.put(IMAGE_TAGS, ImageTag(WEB.key, name, digest, NOW))

        await self.store.transact(put)

    async def aged(self, *ages: float, tagged: bool = True) -> None:
        """Images `d0`, `d1` … pushed so many days ago, tagged `t0`, `t1` …"""
        images = [image(f"d{place}", age, repository=WEB.key) for place, age in enumerate(ages)]
        await self.put(*images, tags={f"d{place}": (f"t{place}",) for place in range(len(ages))} if tagged else {})

    async def policy(self, text: str) -> None:
        await self("PutLifecyclePolicy", repositoryName="web", lifecyclePolicyText=text)

    async def apply(self) -> None:
        """One look of the controller, as if it had not looked for long."""
        controller = Lifecycle(self.store, self.clock, SITE)
        await controller.reconcile(f"policy|{WEB.key}")

    async def make_preview(self) -> None:
        await self.controller.reconcile(f"preview|{WEB.key}")

    @property
    def digests(self) -> set[str]:
        return {each.digest for each in self.store.list(IMAGES, "repository", WEB.key)}

    @property
    def told(self) -> list[dict[str, Any]]:
        """Details of the events, in order."""
        return [event.detail for event in self.store.list(REGISTRY_EVENTS)]


@asynccontextmanager
async def yard() -> AsyncIterator[Yard]:
    clock = SteppedClock(NOW)
    store = memory_store((*KINDS, *ecs_kinds.KINDS, *iam_kinds.KINDS))
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
    made = Repository(arn=WEB.arn, region=REGION, account_id=ACCOUNT, name="web", created_at=NOW - 400 * 86_400)
    await store.transact(lambda tx: tx.put(REPOSITORIES, made))
    yield Yard(call, clock, Lifecycle(store, clock, SITE))
    await store.close()


def elsewhere(there: Yard, account_id: str) -> Call:
    """A call of somebody in another account."""
    return replace(there.call, account_id=account_id)
