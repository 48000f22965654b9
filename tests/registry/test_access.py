"""Who gets in, which repository a name means, and what each request is checked for."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from multidict import CIMultiDict

from longshore.registry.access import Access
from longshore.services.call import Principal
from longshore.services.ecr.manifests import OCI_MANIFEST
from longshore.services.ecr.names import digest_of
from tests.registry.conftest import ACCOUNT, ALICE, REGION, SECRET, SITE, Client, basic
from tests.registry.contents import CONFIG, LAYER, manifest

DIGEST = digest_of(LAYER)
ARN = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/app/web"


def header(text: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


async def test_a_token_opens_the_door(client: Client) -> None:
    response = await client.ask("GET", "/v2/")
    assert response.status == 200
    assert response.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


async def test_a_stranger_is_asked_for_basic_authentication_as_ecr_asks(client: Client) -> None:
    client.headers = {}
    response = await client.ask("GET", "/v2/", headers={"Host": "registry.example:5000"})
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == 'Basic realm="http://registry.example:5000/",service="ecr.amazonaws.com"'
    assert response.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert (await response.json())["errors"][0]["code"] == "UNAUTHORIZED"


async def test_a_token_that_was_not_given_out_here_is_refused(client: Client) -> None:
    later = client.clock.now() + 60
    good = base64.b64decode(basic(ALICE, later)["Authorization"].removeprefix("Basic ")).decode()
    other = "A" if good[-1] != "A" else "B"
    for headers in (
        basic(ALICE, later, b"t" * 32),
        header(good[:-1] + other),
        header(good.replace("AWS:", "aws:")),
        header("AWS:"),
        header("AWS:ü"),
        header("AWS:" + "A" * 5000),
        header("no colon"),
        {"Authorization": "Basic ????"},
        {"Authorization": "Bearer x"},
        {"Authorization": ""},
    ):
        client.headers = headers
        assert (await client.ask("GET", "/v2/")).status == 401, headers


async def test_two_tokens_in_one_request_are_none(client: Client) -> None:
    good = client.headers["Authorization"]
    for given in ((good, good), (good, "Basic eDp5"), ("Basic eDp5", good)):
        headers = CIMultiDict([("Authorization", each) for each in given])
        async with client.session.get(client.url("/v2/app/web/tags/list"), headers=headers) as response:
            assert response.status == 401


async def test_a_token_is_good_for_twelve_hours(client: Client) -> None:
    await client.clock.step(12 * 3600 - 1)
    assert (await client.ask("GET", "/v2/")).status == 200
    await client.clock.step(1)
    response = await client.ask("GET", "/v2/")
    assert response.status == 403
    assert (await response.json())["errors"][0] == {
        "code": "DENIED",
        "message": "Your authorization token has expired. Reauthenticate and try again.",
        "detail": None,
    }


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", f"blobs/{DIGEST}", "GetDownloadUrlForLayer"),
        ("POST", "blobs/uploads/", "InitiateLayerUpload"),
        ("PATCH", "blobs/uploads/x", "UploadLayerPart"),
        ("PUT", f"blobs/uploads/x?digest={DIGEST}", "CompleteLayerUpload"),
        ("DELETE", "blobs/uploads/x", "UploadLayerPart"),
        ("DELETE", f"blobs/{DIGEST}", "BatchDeleteImage"),
        ("GET", "manifests/1", "BatchGetImage"),
        ("HEAD", "manifests/1", "BatchGetImage"),
        ("PUT", "manifests/1", "PutImage"),
        ("DELETE", "manifests/1", "BatchDeleteImage"),
        ("GET", "tags/list", "ListImages"),
    ],
)
async def test_each_request_is_checked_for_the_action_ecr_has_for_it(client: Client, method: str, path: str, action: str) -> None:
    client.door.refused.add((f"ecr:{action}", "app/web"))
    response = await client.ask(method, f"/v2/app/web/{path}")
    assert response.status == 403
    assert (f"ecr:{action}", ARN) in client.door.asked
    if method != "HEAD":
        message = f"User: {ALICE.arn} is not authorized to perform: ecr:{action} on resource: {ARN}"
        assert (await response.json())["errors"][0] == {"code": "DENIED", "message": message, "detail": None}


async def test_either_of_two_rights_suffices_to_look_for_a_blob(client: Client) -> None:
    await client.push_blob("app/web", LAYER, DIGEST)
    for refused, status in (("BatchCheckLayerAvailability", 200), ("GetDownloadUrlForLayer", 403)):
        client.door.refused.add((f"ecr:{refused}", "app/web"))
        assert (await client.ask("HEAD", f"/v2/app/web/blobs/{DIGEST}")).status == status


async def test_the_catalog_needs_the_right_to_describe_all_repositories(client: Client) -> None:
    client.door.refused.add(("ecr:DescribeRepositories", "*"))
    assert (await client.ask("GET", "/v2/_catalog")).status == 403


async def test_account_and_region_come_from_the_host_or_from_the_path(client: Client) -> None:
    await client.create_repository("far", region="eu-west-1")
    for content in (CONFIG, LAYER):
        response = await client.ask(
            "POST",
            f"/v2/far/blobs/uploads/?digest={digest_of(content)}",
            data=content,
            headers={"Host": f"{ACCOUNT}.dkr.ecr.eu-west-1.localhost:4566"},
        )
        assert response.status == 201
    name = f"{ACCOUNT}.dkr.ecr.eu-west-1/far"
    response = await client.ask("PUT", f"/v2/{name}/manifests/1", data=manifest(LAYER), headers={"Content-Type": OCI_MANIFEST})
    assert (response.status, response.headers["Location"]) == (201, f"/v2/{name}/manifests/{digest_of(manifest(LAYER))}")
    assert (await client.ask("HEAD", "/v2/far/manifests/1")).status == 404
    assert (await client.ask("HEAD", "/v2/far/manifests/1", headers={"Host": f"{ACCOUNT}.dkr-ecr.eu-west-1.on.aws"})).status == 200


async def test_the_owner_of_the_key_is_who_is_asked_about(client: Client) -> None:
    """Under the name it has by now."""
    client.door.owners[ALICE.access_key_id] = replace(ALICE, arn=f"arn:aws:iam::{ACCOUNT}:user/alicia")
    await client.create_repository("made-a-revision")
    client.door.refused.add(("ecr:ListImages", "app/web"))
    response = await client.ask("GET", "/v2/app/web/tags/list")
    assert "user/alicia is not authorized" in (await response.json())["errors"][0]["message"]


@pytest.mark.parametrize("now", [None, replace(ALICE, user_id="AIDAANOTHER"), replace(ALICE, account_id="111111111111")])
async def test_a_token_ends_with_its_key_and_with_its_user(client: Client, now: Principal | None) -> None:
    assert (await client.ask("GET", "/v2/")).status == 200
    client.door.owners.clear()
    if now is not None:
        client.door.owners[ALICE.access_key_id] = now
    assert (await client.ask("GET", "/v2/")).status == 200, "what is not written has not happened"
    await client.create_repository("made-a-revision")
    for path in ("/v2/", "/v2/app/web/tags/list", "/v2/_catalog"):
        response = await client.ask("GET", path)
        assert (response.status, (await response.json())["errors"][0]["code"]) == (401, "UNAUTHORIZED")
        assert response.headers["WWW-Authenticate"].startswith("Basic realm=")
    client.door.owners[ALICE.access_key_id] = ALICE
    await client.create_repository("made-another")
    assert (await client.ask("GET", "/v2/")).status == 200, "the key is active again"


async def test_a_key_that_expires_by_itself_is_noticed_within_a_second(client: Client) -> None:
    assert (await client.ask("GET", "/v2/")).status == 200
    client.door.owners.clear()
    await client.clock.step(1.0)
    assert (await client.ask("GET", "/v2/")).status == 401


async def test_tokens_are_known_again_up_to_a_number(client: Client) -> None:
    access = Access(
        store=client.store, site=SITE, clock=client.clock, secret=SECRET, authorise=client.door.authorise, owner=client.door.owners.get
    )
    later = client.clock.now() + 60
    for number in range(4200):
        assert access.identify(basic(ALICE, later + number)["Authorization"], "http", "h") == ALICE
    assert access.identify(basic(ALICE, later)["Authorization"].replace(" ", " " * 2000), "http", "h") == ALICE
    assert access.remembered == 4096


@pytest.mark.parametrize(
    "path",
    [
        "/v2/UPPER/tags/list",
        "/v2/a//b/tags/list",
        "/v2/../etc/tags/list",
        "/v2/a/../b/tags/list",
        "/v2/%2e%2e/%2e%2e/tags/list",
        "/v2/a%2f..%2fb/manifests/1",
        "/v2/-a/tags/list",
        "/v2/a%00/tags/list",
        "/v2/x/tags/list",
        "/v2/" + "a" * 257 + "/tags/list",
        "/v2/" + "a" * 4000 + "/tags/list",
        "/v2/" + "a-" * 2000 + "/tags/list",
    ],
)
async def test_a_name_that_is_none_is_refused(client: Client, path: str) -> None:
    response = await client.ask("GET", path)
    assert (response.status, (await response.json())["errors"][0]["code"]) == (400, "NAME_INVALID")


@pytest.mark.parametrize("path", ["/v2/nothing", "/v2/a/b/c", "/v2/app/web/tags", "/v2//tags/list", "/v2/app/web/manifests/"])
async def test_a_path_that_means_nothing_is_not_found(client: Client, path: str) -> None:
    assert (await client.ask("GET", path)).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v2/"), ("DELETE", "/v2/_catalog"), ("PUT", "/v2/app/web/tags/list"), ("POST", "/v2/app/web/manifests/1")],
)
async def test_a_method_that_is_not_served_is_refused(client: Client, method: str, path: str) -> None:
    response = await client.ask(method, path)
    assert (response.status, (await response.json())["errors"][0]["code"]) == (405, "UNSUPPORTED")
    assert "GET" in response.headers["Allow"]


async def test_a_name_may_contain_words_of_the_protocol(client: Client) -> None:
    name = "blobs/uploads/manifests/tags"
    await client.create_repository(name)
    await client.push_blob(name, LAYER, DIGEST)
    response = await client.ask("GET", f"/v2/{name}/blobs/{DIGEST}")
    assert (response.status, await response.read()) == (200, LAYER)
