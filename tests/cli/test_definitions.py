"""Task definitions with another image: what is registered, and what is told to be different."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.cli.definitions import OwnImage, differences, own_image, with_digest, with_image
from longshore.cli.outcome import Failure

REGISTRY = "127.0.0.1:4566"


def definition(**members: Any) -> dict[str, Any]:
    containers = [{"name": "app", "image": "site:1", "environment": [{"name": "A", "value": "1"}]}]
    told = {"taskDefinitionArn": "arn:x", "revision": 3, "status": "ACTIVE", "registeredAt": 1.0, "compatibilities": ["EC2"]}
    return {"family": "site", "containerDefinitions": containers, **told, **members}


def test_what_is_told_of_a_definition_and_not_taken_is_left_out() -> None:
    request = with_image(definition(), "site:2", None, [{"key": "team", "value": "web"}, {"key": "aws:x", "value": "y"}])
    assert request == {
        "family": "site",
        "containerDefinitions": [{"name": "app", "image": "site:2", "environment": [{"name": "A", "value": "1"}]}],
        "tags": [{"key": "team", "value": "web"}],
    }


def test_only_the_named_container_gets_the_image() -> None:
    two = definition(containerDefinitions=[{"name": "app", "image": "a"}, {"name": "proxy", "image": "b"}])
    request = with_image(two, "c", "proxy")
    assert [one["image"] for one in request["containerDefinitions"]] == ["a", "c"]
    for container in (None, "nobody"):
        with pytest.raises(Failure):
            with_image(two, "c", container)


def test_differences_name_containers_and_variables() -> None:
    before = definition()
    after = with_image(before, "site:2", None)
    assert differences(before, after) == [("containerDefinitions[app].image", "site:1", "site:2")]
    assert differences(before, before) == []
    changed = {
        **after,
        "containerDefinitions": [{**after["containerDefinitions"][0], "environment": [{"name": "A", "value": "2"}], "cpu": 5}],
    }
    assert differences(after, changed) == [
        ("containerDefinitions[app].cpu", "", "5"),
        ("containerDefinitions[app].environment[A].value", "1", "2"),
    ]


HERE = "http://127.0.0.1:4566"
ELSEWHERE = "999999999999.dkr.ecr.eu-west-1"


@pytest.mark.parametrize(
    ("image", "endpoint", "expected"),
    [
        (f"{REGISTRY}/site:2", HERE, OwnImage("", "", "site", "2")),
        (f"{REGISTRY}/team/site", HERE, OwnImage("", "", "team/site", "latest")),
        ("localhost:4566/site:2", HERE, OwnImage("", "", "site", "2")),
        (f"{ELSEWHERE}.localhost:4566/site:2", HERE, OwnImage("999999999999", "eu-west-1", "site", "2")),
        (f"{REGISTRY}/{ELSEWHERE}/team/site:2", HERE, OwnImage("999999999999", "eu-west-1", "team/site", "2")),
        ("Box.Example.com:4566/site:2", "https://box.example.com:4566", OwnImage("", "", "site", "2")),
        (f"{REGISTRY}/site:2", "https://box.example.com:4566", OwnImage("", "", "site", "2")),
        ("box.example.com/site:2", "https://box.example.com", OwnImage("", "", "site", "2")),
        (f"{REGISTRY}/site@sha256:{'a' * 64}", HERE, None),
        (f"{REGISTRY}/site:2@sha256:{'a' * 64}", HERE, None),
        # somebody else's registries, however much they are called like ours
        (f"{ELSEWHERE}.amazonaws.com/site:2", HERE, None),
        (f"{ELSEWHERE}.amazonaws.com.cn/site:2", HERE, None),
        (f"{ELSEWHERE}.localhost:5000/site:2", HERE, None),
        (f"{ELSEWHERE}.localhost/site:2", HERE, None),
        (f"{ELSEWHERE}.example.com:4566/site:2", HERE, None),
        ("my.dkr.ecr.example.com/site:2", HERE, None),
        ("127.0.0.1:5000/site:2", HERE, None),
        (f"127.0.0.1:5000/{ELSEWHERE}/site:2", HERE, None),
        ("box.example.com:4566/site:2", HERE, None),
        ("docker.io/library/nginx:1", HERE, None),
        ("library/nginx:1", HERE, None),
        ("nginx", HERE, None),
    ],
)
def test_tags_of_the_platforms_own_registry_are_recognised_and_nobody_elses(image: str, endpoint: str, expected: OwnImage | None) -> None:
    assert own_image(image, endpoint) == expected


def test_an_image_by_its_digest_has_no_tag() -> None:
    assert with_digest(f"{REGISTRY}/team/site:2", "sha256:abc") == f"{REGISTRY}/team/site@sha256:abc"
