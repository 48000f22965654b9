"""Who gets in, which repository a name means, and what each request is checked for."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from longshore.services.ecr.manifests import OCI_MANIFEST
from longshore.services.ecr.names import digest_of
from tests.registry.conftest import ACCOUNT, ALICE, REGION, Client, basic
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


async def test_another_accounts_registry_stays_closed(client: Client) -> None:
    await client.create_repository("theirs", account_id="111111111111")
    path = "/v2/111111111111.dkr.ecr.us-east-1/theirs"
    for method, rest in (("GET", "tags/list"), ("POST", "blobs/uploads/"), ("GET", "manifests/1"), ("PUT", "manifests/1")):
        response = await client.ask(method, f"{path}/{rest}")
        assert (response.status, (await response.json())["errors"][0]["code"]) == (403, "DENIED")
    assert (await client.ask("GET", "/v2/_catalog", headers={"Host": "111111111111.dkr.ecr.us-east-1.localhost"})).status == 403
    client.log_in(replace(ALICE, account_id="111111111111"))
    assert (await client.ask("GET", f"{path}/tags/list")).status == 200
    assert (await client.ask("GET", "/v2/app/web/tags/list")).status == 403


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
