"""Who may do what with which repository: a table, asked of the gateway and of /v2/ over real sockets.

Each row of `TABLE` says what a principal's own policy, the repository's and the registry's say, and what comes of it for
three repositories: `app/web`, which has the repository policy of the row; `app/plain` beside it, which has none; and
`app/theirs`, which belongs to the other account. Every action that concerns a repository is asked about each of them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp
import pytest
from yarl import URL

from longshore.gateway.authorise import Access
from longshore.gateway.catalogue import served
from longshore.gateway.identify import Identities
from longshore.registry.registry import Registry
from longshore.server import RESOURCE_SIDES
from longshore.services.call import Principal, Site
from longshore.services.ecr.access.documents import registry_policy, repository_policy
from longshore.services.ecr.access.model import REGISTRY_POLICIES, REPOSITORY_POLICIES
from longshore.services.ecr.model import REPOSITORIES, Repository, Tag
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.services.ecr.tokens import GOOD_FOR_S, password
from longshore.services.iam import model as iam
from longshore.services.iam.identities import root_principal
from longshore.store.base import Tx
from tests.sweeps.installation import (
    LAYER,
    OWNER,
    REGION,
    ROOT,
    STRANGER,
    STRANGERS_ROOT,
    USER,
    USER_ARN,
    ZONES,
    Answer,
    House,
    Installation,
    Keys,
    operation_model,
)
from tests.sweeps.samples import sample

SECRET = b"s" * 32
BEA = Keys("AKIABEABEABEABEABEAB", "bea's secret")
BEA_ARN = f"arn:aws:iam::{STRANGER}:user/bea"
ANN = Principal(OWNER, USER_ARN, "AIDAANNANNANNANNANNAN", USER.access_key_id)
PRINCIPALS = {
    "root": (ROOT, root_principal(OWNER, ROOT.access_key_id)),
    "ann": (USER, ANN),
    "their root": (STRANGERS_ROOT, root_principal(STRANGER, STRANGERS_ROOT.access_key_id)),
    "bea": (BEA, Principal(STRANGER, BEA_ARN, "AIDABEABEABEABEABEABE", BEA.access_key_id)),
}
WEB, PLAIN, THEIRS = (
    RepositoryId(REGION, OWNER, "app/web"),
    RepositoryId(REGION, OWNER, "app/plain"),
    RepositoryId(REGION, STRANGER, "app/theirs"),
)
LAYER_DIGEST = digest_of(LAYER)

# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────


def says(effect: str, *, whom: Any = None, action: Any = "ecr:*", resource: Any = None, when: Any = None) -> dict[str, Any]:
    """One statement; `whom` in a policy of a resource, `resource` in one of a user or of a registry."""
    made: dict[str, Any] = {"Effect": effect, "Action": action}
    made |= {"Principal": whom if whom == "*" else {"AWS": whom}} if whom else {}
    made |= {"Resource": resource} if resource else {}
    return made | ({"Condition": when} if when else {})


ALL = says("Allow", resource="*")
NOT_WEB = says("Deny", resource=WEB.arn)
OWNERS = f"arn:aws:ecr:{REGION}:{OWNER}:repository/*"


class Row(NamedTuple):
    who: str
    own: tuple[dict[str, Any], ...]
    repository: tuple[dict[str, Any], ...]
    registry: tuple[dict[str, Any], ...]
    #: may do everything with web, plain, theirs
    web: bool
    plain: bool
    theirs: bool


YES, NO = True, False
TABLE = {
    # in one account either side suffices
    "the root needs no policy": Row("root", (), (), (), YES, YES, NO),
    "a user has no right by birth": Row("ann", (), (), (), NO, NO, NO),
    "a user may what their policy allows": Row("ann", (ALL,), (), (), YES, YES, NO),
    "and where": Row("ann", (says("Allow", resource=PLAIN.arn),), (), (), NO, YES, NO),
    "a repository lets its own in": Row("ann", (), (says("Allow", whom=USER_ARN),), (), YES, NO, NO),
    "so does a registry": Row("ann", (), (), (says("Allow", whom=USER_ARN, resource=OWNERS),), YES, YES, NO),
    "an account that is named leaves it to its own policies": Row("ann", (), (says("Allow", whom=OWNER),), (), NO, NO, NO),
    "everybody is everybody of the account": Row("ann", (), (says("Allow", whom="*"),), (), YES, NO, NO),
    # an explicit deny wins, on whichever side
    "a deny of the user's own wins over both": Row("ann", (ALL, NOT_WEB), (says("Allow", whom=USER_ARN),), (), NO, YES, NO),
    "a repository's deny wins": Row("ann", (ALL,), (says("Deny", whom=USER_ARN),), (), NO, YES, NO),
    "over its own allow, too": Row("ann", (), (says("Allow", whom="*"), says("Deny", whom=OWNER)), (), NO, NO, NO),
    "a registry's deny wins": Row("ann", (ALL,), (), (says("Deny", whom="*", resource=PLAIN.arn),), YES, NO, NO),
    "the root is denied by the repository alone": Row("root", (), (says("Deny", whom="*"),), (), NO, YES, NO),
    "and by the registry": Row("root", (), (), (says("Deny", whom=OWNER, resource=OWNERS),), NO, NO, NO),
    # between accounts both sides must allow
    "another account's root is a stranger": Row("their root", (), (), (), NO, NO, YES),
    "until it is named": Row("their root", (), (says("Allow", whom=STRANGER),), (), YES, NO, YES),
    "by the registry perhaps": Row("their root", (), (), (says("Allow", whom=STRANGER, resource=OWNERS),), YES, YES, YES),
    "another account's user with all rights at home": Row("bea", (ALL,), (), (), NO, NO, YES),
    "one who is named, without rights at home": Row("bea", (), (says("Allow", whom=BEA_ARN),), (), NO, NO, NO),
    "one with both": Row("bea", (ALL,), (says("Allow", whom=BEA_ARN),), (), YES, NO, YES),
    "one whose account is named": Row("bea", (ALL,), (says("Allow", whom=STRANGER),), (), YES, NO, YES),
    "one among everybody": Row("bea", (ALL,), (says("Allow", whom="*"),), (), YES, NO, YES),
    "one by way of the registry": Row("bea", (ALL,), (), (says("Allow", whom=BEA_ARN, resource=PLAIN.arn),), NO, YES, YES),
    "one kept back at home": Row("bea", (ALL, NOT_WEB), (says("Allow", whom=BEA_ARN),), (), NO, NO, YES),
    "one kept out by the repository": Row("bea", (ALL,), (says("Allow", whom="*"), says("Deny", whom=BEA_ARN)), (), NO, NO, YES),
    "one kept out by the registry": Row(
        "bea", (ALL,), (says("Allow", whom="*"),), (says("Deny", whom=STRANGER, resource="*"),), NO, NO, YES
    ),
    "one who is not the one named": Row("bea", (ALL,), (says("Allow", whom=f"{BEA_ARN}x"),), (), NO, NO, YES),
}  # fmt: skip

# ── what is asked ───────────────────────────────────────────────────────────────────────────────────────────────────

#: below /v2/NAME/
ROUTES: tuple[tuple[str, str], ...] = (
    *(("GET", "manifests/1"), ("HEAD", "manifests/1"), ("PUT", "manifests/none"), ("DELETE", "manifests/none")),
    *(("GET", f"blobs/{LAYER_DIGEST}"), ("HEAD", f"blobs/{LAYER_DIGEST}"), ("DELETE", f"blobs/{digest_of(b'none')}")),
    *(("POST", "blobs/uploads/"), ("GET", "blobs/uploads/x"), ("PATCH", "blobs/uploads/x"), ("DELETE", "blobs/uploads/x")),
    *(("PUT", f"blobs/uploads/x?digest={LAYER_DIGEST}"), ("POST", f"blobs/uploads/?digest={LAYER_DIGEST}")),
    *(("GET", "tags/list"), ("GET", f"referrers/{LAYER_DIGEST}")),
)


def _operations() -> list[str]:
    """ECR's operations that concern one repository."""
    found = []
    for name in served("ecr").operations:
        shape = operation_model("ecr", name).input_shape
        if shape is not None and {"repositoryName", "repositoryNames", "resourceArn"} & set(shape.members):
            found.append(name)
    return found


_NO_UPLOAD = {"uploadId": "00000000-0000-4000-8000-000000000000"}
#: in place of what the samples have, so that nothing comes or goes
_HARMLESS: Mapping[str, Mapping[str, Any]] = {
    "UploadLayerPart": {**_NO_UPLOAD, "partFirstByte": 0, "partLastByte": 3, "layerPartBlob": b"part"},
    "CompleteLayerUpload": {**_NO_UPLOAD, "layerDigests": [LAYER_DIGEST]},
    "GetDownloadUrlForLayer": {"layerDigest": LAYER_DIGEST},
    "BatchCheckLayerAvailability": {"layerDigests": [LAYER_DIGEST]},
    "PutLifecyclePolicy": {"lifecyclePolicyText": "{}" + " " * 100},
    "StartLifecyclePolicyPreview": {"lifecyclePolicyText": "{}" + " " * 100},
    "DeleteRepository": {"force": False},
    "BatchDeleteImage": {"imageIds": [{"imageTag": "none"}]},
    "SetRepositoryPolicy": {"policyText": "{}"},
    "CreateRepository": {"tags": []},
}


def about(house: House, operation: str, repository: RepositoryId) -> dict[str, Any]:
    members = operation_model("ecr", operation).input_shape.members
    parameters = {**sample(house, "ecr", operation), **_HARMLESS.get(operation, {})}
    if "repositoryName" in members:
        parameters["repositoryName"] = repository.name
    if "repositoryNames" in members:
        parameters["repositoryNames"] = [repository.name]
    if "resourceArn" in members:
        parameters["resourceArn"] = repository.arn
    if "registryId" in members:
        parameters["registryId"] = repository.account_id
    return parameters


def document(statements: tuple[dict[str, Any], ...]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@dataclass
class Place:
    """The house with more people in it, its gateway and its registry behind one port."""

    there: Installation
    http: aiohttp.ClientSession
    house: House
    tokens: dict[str, str] = field(default_factory=dict)

    def token(self, who: str) -> str:
        """Made by hand: to have one is no permission."""
        if who not in self.tokens:
            made = password(SECRET, PRINCIPALS[who][1], self.there.clock.now() + GOOD_FOR_S)
            self.tokens[who] = base64.b64encode(f"AWS:{made}".encode()).decode()
        return self.tokens[who]

    async def set(self, who: str, own: tuple[dict[str, Any], ...], repository: tuple[dict[str, Any], ...] = (), registry: Any = ()) -> None:
        """These are all policies there are."""
        arn = PRINCIPALS[who][1].arn

        def put(tx: Tx) -> None:
            web = tx.get(REPOSITORIES, WEB.key)
            assert web is not None
            for kind in (iam.INLINE_POLICIES, REPOSITORY_POLICIES, REGISTRY_POLICIES):
                for held in tx.list(kind):
                    tx.delete(kind, kind.key(held))
            if own:
                tx.put(iam.INLINE_POLICIES, iam.InlinePolicy(arn, "own", document(own)))
            if repository:
                tx.put(REPOSITORY_POLICIES, repository_policy(tx, web, document(repository)))
            if registry:
                tx.put(REGISTRY_POLICIES, registry_policy(tx, REGION, OWNER, document(registry)))

        await self.there.store.transact(put)

    async def visit(
        self, who: str, method: str, repository: RepositoryId, rest: str, body: bytes = b"", **headers: str
    ) -> tuple[int, bytes, Mapping[str, str]]:
        path = f"/v2/{repository.account_id}.dkr.ecr.{repository.region}/{repository.name}/{rest}"
        return await self.get(method, path, body, Authorization=f"Basic {self.token(who)}", **headers)

    async def get(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
        url = URL(f"http://127.0.0.1:{self.there.port}{path}", encoded=True)
        async with self.http.request(method, url, data=body, headers=headers) as response:
            return response.status, await response.read(), response.headers

    async def ask(self, who: str, operation: str, repository: RepositoryId) -> Answer:
        return await self.there.ask("ecr", operation, about(self.house, operation, repository), PRINCIPALS[who][0])

    async def refused(self, who: str, repository: RepositoryId) -> dict[str, bool]:
        """Every action that concerns the repository, and whether it was denied."""
        found = {}
        for operation in _operations():
            if operation != "DeleteRepositoryPolicy":  # which would end the row
                found[operation] = (await self.ask(who, operation, repository)).denied
        for method, rest in ROUTES:
            status, body, _ = await self.visit(who, method, repository, rest, LAYER if "digest=" in rest else b"")
            assert status < 500, (method, rest, body)
            assert (status == 403) is (b'"DENIED"' in body) or method == "HEAD", (method, rest, body)
            found[f"{method} {rest}"] = status == 403
        found["DeleteRepositoryPolicy"] = (await self.ask(who, "DeleteRepositoryPolicy", repository)).denied
        return found


@pytest.fixture
async def place(there: Installation, house: House) -> AsyncIterator[Place]:
    async with _opened(there, house) as made:
        yield made


@asynccontextmanager
async def _opened(there: Installation, house: House) -> AsyncIterator[Place]:
    def people(tx: Tx) -> None:
        tx.put(iam.USERS, iam.User(STRANGER, "bea", "AIDABEABEABEABEABEABE", 0.0))
        tx.put(iam.ACCESS_KEYS, iam.AccessKey(BEA.access_key_id, STRANGER, BEA_ARN, BEA.secret, 0.0))
        for each in (PLAIN, THEIRS):
            tx.put(REPOSITORIES, Repository(each.arn, each.region, each.account_id, each.name, 0.0, tags=(Tag("team", "web"),)))

    store, clock, site = there.store, there.clock, Site(OWNER, REGION, ZONES, "http://127.0.0.1:4566", 4566)
    await store.transact(people)
    access, identities = Access(store, clock, RESOURCE_SIDES), Identities(store, clock, site)
    registry = Registry(
        store=store, blobs=there.blobs, clock=clock, site=site, secret=SECRET, authorise=access.denial, owner=identities.owner
    )
    there.gateway.mount("/v2/", registry.handle)
    async with there.over_http(), aiohttp.ClientSession(auto_decompress=False) as http:
        yield Place(there, http, house)


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
async def test_the_table(place: Place, row: Row) -> None:
    for repository, allowed in ((WEB, row.web), (PLAIN, row.plain), (THEIRS, row.theirs)):
        await place.set(row.who, row.own, row.repository, row.registry)
        refused = await place.refused(row.who, repository)
        assert len(refused) >= 30
        otherwise = [action for action, denied in refused.items() if denied is allowed]
        assert not otherwise, repository.name
