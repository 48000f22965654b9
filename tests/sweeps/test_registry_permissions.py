"""Who may do what with which repository: a table, asked of the gateway and of /v2/ over real sockets.

Each row of `TABLE` says what a principal's own policy, the repository's and the registry's say, and what comes of it for
three repositories: `app/web`, which has the repository policy of the row; `app/plain` beside it, which has none; and
`app/theirs`, which belongs to the other account. Every action that concerns a repository is asked about each of them.
"""

from __future__ import annotations

import base64
import json
import re
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
from longshore.resources import RESOURCE_SIDES
from longshore.services.call import Principal, Site
from longshore.services.ecr.access.documents import registry_policy, repository_policy
from longshore.services.ecr.access.model import REGISTRY_POLICIES, REPOSITORY_POLICIES
from longshore.services.ecr.kinds import KINDS
from longshore.services.ecr.manifests import OCI_MANIFEST
from longshore.services.ecr.model import REPOSITORIES, Repository, Tag
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.services.ecr.tokens import GOOD_FOR_S, password
from longshore.services.iam import model as iam
from longshore.services.iam.identities import root_principal
from longshore.services.sts.messages import decoded_message
from longshore.store.base import Tx
from tests.sweeps.installation import (
    ELSEWHERE,
    LAYER,
    OWNER,
    REGION,
    ROOT,
    SIGNING_SECRET,
    STRANGER,
    STRANGERS_ROOT,
    USER,
    USER_ARN,
    ZONES,
    Answer,
    House,
    Installation,
    Keys,
    image_manifest,
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
        members = set(shape.members) if shape is not None else set()
        # without a registryId, names mean the caller's own repositories
        if members & {"repositoryName", "resourceArn"} or members >= {"repositoryNames", "registryId"}:
            found.append(name)
    return found


_NONE = "00000000-0000-4000-8000-000000000000"
_NO_UPLOAD = {"uploadId": _NONE}
#: in place of what the samples have, so that nothing comes or goes
_HARMLESS: Mapping[str, Mapping[str, Any]] = {
    "UploadLayerPart": {**_NO_UPLOAD, "partFirstByte": 0, "partLastByte": 3, "layerPartBlob": b"part"},
    "CompleteLayerUpload": {**_NO_UPLOAD, "layerDigests": [LAYER_DIGEST]},
    "GetDownloadUrlForLayer": {"layerDigest": LAYER_DIGEST},
    "BatchCheckLayerAvailability": {"layerDigests": [LAYER_DIGEST]},
    "StartReplicationBackfill": {"destination": {"region": ELSEWHERE, "registryId": OWNER}},
    "StopReplicationBackfill": {"replicationBackfillId": _NONE},
    "DescribeReplicationBackfillResults": {"replicationBackfillId": _NONE},
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
        if row.who == "root" and repository.account_id == OWNER:
            assert refused.pop("DeleteRepositoryPolicy") is False, "the way back for who is locked out"
        otherwise = [action for action, denied in refused.items() if denied is allowed]
        assert not otherwise, repository.name


# ── what pushing and pulling take ───────────────────────────────────────────────────────────────────────────────────

PULL = ("BatchGetImage", "GetDownloadUrlForLayer")
PUSH = ("InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "BatchCheckLayerAvailability", "PutImage")


async def pull(place: Place, who: str) -> list[int]:
    """The statuses of what docker asks for."""
    return [(await place.visit(who, *asked))[0] for asked in (("GET", WEB, "manifests/1"), ("GET", WEB, f"blobs/{LAYER_DIGEST}"))]


async def push(place: Place, who: str, tag: str) -> list[int]:
    """As docker pushes: look, begin, send, finish, put the manifest. Ends with the first refusal."""
    layer = f"layer of {tag}".encode()
    statuses = [(await place.visit(who, "HEAD", WEB, f"blobs/{digest_of(layer)}"))[0]]
    token = {"Authorization": f"Basic {place.token(who)}"}
    status, _, headers = await place.visit(who, "POST", WEB, "blobs/uploads/")
    statuses.append(status)
    if status == 202:
        statuses.append((await place.get("PATCH", headers["Location"], layer, **token))[0])
        statuses.append((await place.get("PUT", f"{headers['Location']}?digest={digest_of(layer)}", **token))[0])
    body = image_manifest(tag).encode()
    statuses.append((await place.visit(who, "PUT", WEB, f"manifests/{tag}", body, **{"Content-Type": OCI_MANIFEST}))[0])
    return statuses


@pytest.mark.parametrize("side", ["own", "repository"])
async def test_two_rights_pull_and_five_push(place: Place, side: str) -> None:
    async def given(*names: str) -> None:
        actions = [f"ecr:{name}" for name in names]
        if side == "own":
            await place.set("ann", (says("Allow", action=actions, resource=WEB.arn),))
        else:
            await place.set("ann", (), (says("Allow", whom=USER_ARN, action=actions),))

    await given(*PULL)
    assert await pull(place, "ann") == [200, 200]
    # who may read a layer may also learn that there is none
    assert await push(place, "ann", "a") == [404, 403, 403]
    await given(*PUSH)
    assert await push(place, "ann", "b") == [404, 202, 202, 201, 201]
    assert await pull(place, "ann") == [403, 403]
    for missing, statuses in {
        "InitiateLayerUpload": [404, 403, 201],
        "UploadLayerPart": [404, 202, 403, 201, 201],
        "CompleteLayerUpload": [404, 202, 202, 403, 201],
        "BatchCheckLayerAvailability": [403, 202, 202, 201, 201],
        "PutImage": [404, 202, 202, 201, 403],
    }.items():
        await given(*(name for name in PUSH if name != missing))
        # an empty upload can be finished only as what it is
        expected = [400 if (missing, status, at) == ("UploadLayerPart", 201, 3) else status for at, status in enumerate(statuses)]
        assert await push(place, "ann", missing.lower()) == expected, missing


async def test_a_layer_at_one_go_takes_all_three_rights(place: Place) -> None:
    three = ("InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload")
    whole = f"blobs/uploads/?digest={LAYER_DIGEST}"
    for missing in (*three, None):
        actions = [f"ecr:{name}" for name in three if name != missing]
        await place.set("ann", (says("Allow", action=actions, resource=WEB.arn),))
        assert (await place.visit("ann", "POST", WEB, whole, LAYER))[0] == (403 if missing else 201), missing


async def test_only_what_may_be_read_is_mounted(place: Place) -> None:
    writing = says("Allow", action=[f"ecr:{name}" for name in PUSH], resource=PLAIN.arn)
    reading = says("Allow", action="ecr:GetDownloadUrlForLayer", resource=WEB.arn)
    for source in ("", f"&from={WEB.name}", f"&from={OWNER}.dkr.ecr.{REGION}/{WEB.name}"):
        for rights, status in (((writing,), 202), ((writing, reading, says("Deny", resource=WEB.arn)), 202), ((writing, reading), 201)):
            await place.set("ann", rights)
            found, _, _ = await place.visit("ann", "POST", PLAIN, f"blobs/uploads/?mount={LAYER_DIGEST}{source}")
            assert found == status, (source, rights)


async def test_nothing_is_mounted_from_another_account(place: Place) -> None:
    await place.set("their root", (), (says("Allow", whom=STRANGER),))
    assert (await pull(place, "their root")) == [200, 200]
    asked = f"blobs/uploads/?mount={LAYER_DIGEST}&from={OWNER}.dkr.ecr.{REGION}/{WEB.name}"
    assert (await place.visit("their root", "POST", THEIRS, asked))[0] == 202


# ── the way from a user to a token, and a token's end ───────────────────────────────────────────────────────────────


async def test_a_token_is_given_to_who_may_have_one(place: Place) -> None:
    right = says("Allow", action="ecr:GetAuthorizationToken", resource="*")
    for rights, refused in (((), True), ((right,), False), ((ALL,), False), ((right, says("Deny", resource="*")), True)):
        await place.set("ann", rights)
        answer = await place.there.ask("ecr", "GetAuthorizationToken", {}, USER)
        assert answer.denied is refused
        if not refused:
            (given,) = answer.parsed["authorizationData"]
            assert (await place.get("GET", "/v2/", Authorization=f"Basic {given['authorizationToken']}"))[0] == 200


async def test_everybody_is_nobody_who_does_not_say_their_name(place: Place) -> None:
    await place.set("ann", (), (says("Allow", whom="*"),), (says("Allow", whom="*", resource="*"),))
    path = f"/v2/{OWNER}.dkr.ecr.{REGION}/app/web"
    for method, rest in ROUTES:
        status, _, headers = await place.get(method, f"{path}/{rest}")
        assert status == 401
        assert headers["WWW-Authenticate"].startswith("Basic realm=")
    assert (
        await place.there.ask("ecr", "ListImages", about(place.house, "ListImages", WEB), None)
    ).code == "MissingAuthenticationTokenException"


async def test_a_token_ends_at_once_with_its_key(place: Place) -> None:
    iam_ = place.there.done
    key = {"UserName": "ann", "AccessKeyId": USER.access_key_id}
    await place.set("ann", (ALL,))
    assert await pull(place, "ann") == [200, 200]
    await iam_("iam", "UpdateAccessKey", **key, Status="Inactive")
    assert await pull(place, "ann") == [401, 401]
    await iam_("iam", "UpdateAccessKey", **key, Status="Active")
    assert await pull(place, "ann") == [200, 200]
    await iam_("iam", "DeleteAccessKey", **key)
    assert await pull(place, "ann") == [401, 401]
    _, body, headers = await place.visit("ann", "GET", WEB, "manifests/1")
    assert (json.loads(body)["errors"][0]["code"], headers["Docker-Distribution-Api-Version"]) == ("UNAUTHORIZED", "registry/2.0")


async def test_a_deleted_users_token_is_worth_nothing_to_the_next_of_that_name(place: Place) -> None:
    iam_ = place.there.done
    await iam_("iam", "DeleteAccessKey", UserName="ann", AccessKeyId=USER.access_key_id)
    await iam_("iam", "DeleteLoginProfile", UserName="ann")
    await iam_("iam", "DeleteUser", UserName="ann")
    assert await pull(place, "ann") == [401, 401]
    await iam_("iam", "CreateUser", UserName="ann")
    await place.set("ann", (ALL,))
    assert await pull(place, "ann") == [401, 401]
    # even where the next one has a key of the same id, which no API gives
    again = iam.AccessKey(USER.access_key_id, OWNER, USER_ARN, USER.secret, 0.0)
    await place.there.store.transact(lambda tx: tx.put(iam.ACCESS_KEYS, again))
    assert await pull(place, "ann") == [401, 401]


async def test_a_renamed_user_keeps_token_and_rights(place: Place) -> None:
    await place.set("ann", (), (says("Allow", whom=USER_ARN),))
    await place.there.done("iam", "UpdateUser", UserName="ann", NewUserName="anna")
    assert await pull(place, "ann") == [200, 200]
    await place.there.done("iam", "CreateUser", UserName="ann")
    made = (await place.there.done("iam", "CreateAccessKey", UserName="ann"))["AccessKey"]
    keys = Keys(made["AccessKeyId"], made["SecretAccessKey"])
    assert (await place.there.ask("ecr", "ListImages", about(place.house, "ListImages", WEB), keys)).denied


# ── what conditions ask about ───────────────────────────────────────────────────────────────────────────────────────

CONDITIONS: tuple[tuple[dict[str, Any], bool, bool], ...] = (
    # (condition, holds for web, holds for plain, which has the tag team=web)
    ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True, True),
    ({"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, False, False),
    ({"Bool": {"aws:SecureTransport": "false"}}, True, True),
    ({"Bool": {"aws:SecureTransport": "true"}}, False, False),
    ({"StringEquals": {"ecr:ResourceTag/team": "web"}}, False, True),
    ({"StringEquals": {"aws:ResourceTag/team": ["web", "other"]}}, False, True),
    ({"StringNotEquals": {"aws:ResourceTag/team": "web"}}, True, False),
    ({"StringEquals": {"aws:PrincipalAccount": OWNER}}, True, True),
    ({"StringEquals": {"aws:username": "bob"}}, False, False),
    ({"StringEquals": {"aws:RequestedRegion": REGION}}, True, True),
    ({"StringLike": {"aws:UserAgent": "Python/*"}}, True, True),
    ({"DateGreaterThan": {"aws:CurrentTime": "2100-01-01T00:00:00Z"}}, False, False),
)


@pytest.mark.parametrize(("when", "web", "plain"), CONDITIONS, ids=str)
@pytest.mark.parametrize("side", ["own", "registry", "own deny"])
async def test_conditions_are_asked_on_every_way_in(place: Place, side: str, when: dict[str, Any], web: bool, plain: bool) -> None:
    if side == "own":
        await place.set("ann", (says("Allow", resource="*", when=when),))
    elif side == "registry":
        await place.set("ann", (), (), (says("Allow", whom=USER_ARN, resource="*", when=when),))
    else:
        await place.set("ann", (ALL, says("Deny", resource="*", when=when)))
    for repository, holds in ((WEB, web), (PLAIN, plain)):
        allowed = holds is (side != "own deny")
        assert ((await place.visit("ann", "GET", repository, "tags/list"))[0] == 200) is allowed
        for operation in ("ListImages", "DescribeRepositories", "ListTagsForResource"):
            if "aws:UserAgent" not in str(when):
                assert (await place.ask("ann", operation, repository)).denied is not allowed, operation


async def test_a_tag_that_comes_or_goes_is_heeded_at_once(place: Place) -> None:
    await place.set("ann", (says("Allow", resource="*", when={"StringEquals": {"ecr:ResourceTag/team": "web"}}),))
    tag = {"resourceArn": WEB.arn, "tags": [{"Key": "team", "Value": "web"}]}
    assert (await place.visit("ann", "GET", WEB, "tags/list"))[0] == 403
    await place.there.done("ecr", "TagResource", **tag)
    assert (await place.visit("ann", "GET", WEB, "tags/list"))[0] == 200
    await place.there.done("ecr", "UntagResource", resourceArn=WEB.arn, tagKeys=["team"])
    assert (await place.visit("ann", "GET", WEB, "tags/list"))[0] == 403


# ── what a refusal tells ────────────────────────────────────────────────────────────────────────────────────────────


def _told(body: bytes) -> bytes:
    """With what is sealed in it, as those read it who may, and how long that is sealed."""

    def opened(sealed: re.Match[bytes]) -> bytes:
        return f"{len(sealed[0])} {decoded_message(SIGNING_SECRET, STRANGER, sealed[0].decode())}".encode()

    text, sealed = re.subn(rb"(?<=Encoded authorization failure message: )[\w-]+", opened, body)
    assert sealed == 1
    return text


@pytest.mark.parametrize("who", ["their root", "bea"])
async def test_strangers_do_not_learn_what_there_is(place: Place, who: str) -> None:
    """The words are the same whether there is such a repository or not, and whatever it says."""
    told: list[dict[str, tuple[int, bytes]]] = []
    denied = (says("Allow", whom="*"), says("Deny", whom="*"))
    for own in ((), (ALL,)) if who == "bea" else ((),):
        for repository in ((), denied, (says("Deny", whom="*", action="ecr:List*"),), None):
            await place.set(who, own, repository or ())
            if repository is None:
                await place.there.store.transact(lambda tx: tx.delete(REPOSITORIES, WEB.key))
            told.append({})
            for operation in _operations():
                answer = await place.ask(who, operation, WEB)
                assert answer.denied, operation
                told[-1][operation] = answer.status, _told(answer.body)
            for method, rest in ROUTES:
                status, body, _ = await place.visit(who, method, WEB, rest)
                assert status == 403
                told[-1][f"{method} {rest}"] = status, body
            if repository is None:
                held = next(row for row in place.house.rows[REPOSITORIES] if row.key == WEB.key)
                await place.there.store.transact(lambda tx, held=held: tx.put(REPOSITORIES, held))
        assert all(each == told[0] for each in told)
        told.clear()


async def test_no_operation_is_open_to_another_account_by_naming_its_registry(place: Place) -> None:
    await place.set("bea", (ALL,))
    before = [place.there.store.list(kind) for kind in KINDS]
    asked = 0
    for operation in served("ecr").operations:
        shape = operation_model("ecr", operation).input_shape
        if shape is None or "registryId" not in shape.members:
            continue
        parameters = {**about(place.house, operation, WEB), "registryId": OWNER}
        for keys in (STRANGERS_ROOT, BEA):
            answer = await place.there.ask("ecr", operation, parameters, keys)
            assert answer.denied, f"{operation}: {answer.code} {answer.message}"
            asked += 1
    assert asked >= 30
    assert [place.there.store.list(kind) for kind in KINDS] == before
