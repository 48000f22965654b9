"""Task definitions with another image: what is registered, and what is told to be different."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.cli.definitions import differences, repository_of, with_digest, with_image
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


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (f"{REGISTRY}/site:2", ("site", "2")),
        (f"{REGISTRY}/team/site", ("team/site", "latest")),
        ("000000000000.dkr.ecr.us-east-1.localhost:4566/site:2", ("site", "2")),
        (f"{REGISTRY}/site@sha256:{'a' * 64}", None),
        ("docker.io/library/nginx:1", None),
        ("nginx", None),
    ],
)
def test_tags_of_the_platforms_own_registry_are_recognised(image: str, expected: tuple[str, str] | None) -> None:
    assert repository_of(image, REGISTRY) == expected


def test_an_image_by_its_digest_has_no_tag() -> None:
    assert with_digest(f"{REGISTRY}/team/site:2", "sha256:abc") == f"{REGISTRY}/team/site@sha256:abc"
