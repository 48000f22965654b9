"""Where sessions are tried: two accounts with their roots, a user, and a role that she may take on, behind the real gateway."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from longshore.registry.access import Access as Door
from longshore.services.iam.identities import ensure_root
from longshore.store.memory_blobs import MemoryBlobStore
from tests.sweeps.installation import OWNER, REGION, ROOT, SIGNING_SECRET, STRANGER, STRANGERS_ROOT, Answer, Installation, Keys

EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
ROLE = f"arn:aws:iam::{OWNER}:role/deploy"
TASKS = f"arn:aws:ecs:{REGION}:{OWNER}:cluster/*"


def document(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal: Any, *actions: str, **more: Any) -> str:
    return document({"Effect": "Allow", "Principal": principal, "Action": list(actions) or "sts:AssumeRole", **more})


def words(message: str) -> str:
    """A refusal without its sealed details."""
    return message.partition(". Encoded authorization failure message: ")[0]


class Place:
    """Two accounts with their roots, the user ann, and the role deploy that she may take on."""

    def __init__(self, there: Installation) -> None:
        self.there = there
        self.ann = ROOT

    async def ask(self, api: str, operation: str, keys: Keys = ROOT, **parameters: Any) -> Answer:
        return await self.there.ask(api, operation, parameters, keys)

    async def done(self, api: str, operation: str, keys: Keys = ROOT, **parameters: Any) -> Mapping[str, Any]:
        return await self.there.done(api, operation, keys, **parameters)

    async def assume(self, keys: Keys | None = None, role: str = ROLE, **more: Any) -> Keys:
        given = await self.done("sts", "AssumeRole", keys or self.ann, RoleArn=role, RoleSessionName="work", **more)
        return keys_of(given)

    async def refusal(self, operation: str, keys: Keys | None = None, **parameters: Any) -> str:
        answer = await self.ask("sts", operation, keys or self.ann, **parameters)
        assert answer.status >= 400, answer.body
        return f"{answer.code}: {words(answer.message)}"

    async def may(self, keys: Keys, api: str = "ecs", operation: str = "ListClusters", **parameters: Any) -> bool:
        answer = await self.ask(api, operation, keys, **parameters)
        assert answer.denied or answer.status == 200, answer.message
        return not answer.denied

    def door(self) -> Door:
        gateway = self.there.gateway
        identities, access = gateway._identities, gateway._access
        site = gateway._site
        return Door(
            store=self.there.store,
            site=site,
            clock=self.there.clock,
            secret=SIGNING_SECRET,
            authorise=access.denial,
            owner=identities.owner,
            ended=identities.has_ended,
        )


def keys_of(answer: Mapping[str, Any]) -> Keys:
    credentials = answer["Credentials"]
    return Keys(credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])


@asynccontextmanager
async def furnished() -> AsyncIterator[Place]:
    """As every test of sessions begins."""
    async with Installation.restored({}, MemoryBlobStore()) as there:

        def found(tx: Any) -> None:
            for account, keys in ((OWNER, ROOT), (STRANGER, STRANGERS_ROOT)):
                ensure_root(tx, account, keys.access_key_id, keys.secret, there.clock.now())

        await there.store.transact(found)
        place = Place(there)
        await place.done("iam", "CreateUser", UserName="ann", Tags=[{"Key": "team", "Value": "edge"}])
        made = (await place.done("iam", "CreateAccessKey", UserName="ann"))["AccessKey"]
        place.ann = Keys(made["AccessKeyId"], made["SecretAccessKey"])
        await place.done(
            "iam",
            "CreateRole",
            RoleName="deploy",
            AssumeRolePolicyDocument=trust(
                {"AWS": f"arn:aws:iam::{OWNER}:user/ann"}, "sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"
            ),
            MaxSessionDuration=7200,
            Tags=[{"Key": "Stage", "Value": "test"}, {"Key": "team", "Value": "none"}],
        )
        await allow(place, {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"})
        yield place


async def allow(place: Place, *statements: Mapping[str, Any], role: str = "deploy") -> None:
    await place.done("iam", "PutRolePolicy", RoleName=role, PolicyName="own", PolicyDocument=document(*statements))


async def login(place: Place, keys: Keys) -> tuple[str, float]:
    """(Authorization header, when it ends)"""
    (given,) = (await place.done("ecr", "GetAuthorizationToken", keys))["authorizationData"]
    assert b64decode(given["authorizationToken"]).startswith(b"AWS:")
    return f"Basic {given['authorizationToken']}", given["expiresAt"].timestamp()
