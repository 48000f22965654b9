"""Creation templates: what can be asked for, and which one speaks for a repository."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.aws.protocol import json as codec
from longshore.aws.shapes import ecr as shapes
from longshore.services.ecr.access.model import REPOSITORY_POLICIES
from longshore.services.ecr.api import api
from longshore.services.ecr.errors import RepositoryNotFoundException
from longshore.services.ecr.kinds import KINDS
from longshore.services.ecr.lifecycle.model import LIFECYCLE_POLICIES
from longshore.services.ecr.model import REPOSITORIES, Repository, Tag
from longshore.services.ecr.names import RepositoryId
from longshore.services.ecr.templates.creation import ensure_repository, template_for
from longshore.services.ecr.templates.model import CREATION_TEMPLATES, CreationTemplate, Occasion
from longshore.store.memory import memory_store
from tests.services.ecr.conftest import ACCOUNT, REGION, Ecr

POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Sid": "a", "Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}]}
)
LIFECYCLE = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5},
                "action": {"type": "expire"},
            }
        ]
    }
)
EVERYTHING: dict[str, Any] = {
    "prefix": "team/",
    "description": "what the team pushes",
    "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/abc"},
    "resourceTags": [{"Key": "team", "Value": "web"}],
    "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
    "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "dev-*"}],
    "repositoryPolicy": POLICY,
    "lifecyclePolicy": LIFECYCLE,
    "appliedFor": ["CREATE_ON_PUSH", "REPLICATION"],
    "customRoleArn": f"arn:aws:iam::{ACCOUNT}:role/ecr",
}


async def created(ecr: Ecr, name: str, occasion: Occasion = "CREATE_ON_PUSH") -> Repository:
    meant = RepositoryId(REGION, ACCOUNT, name)
    return await ecr.call.store.transact(lambda tx: ensure_repository(tx, meant, occasion, ecr.clock.now()))


async def test_a_template_is_shown_as_it_was_made(ecr: Ecr) -> None:
    answer = await ecr("CreateRepositoryCreationTemplate", **EVERYTHING)
    assert answer["registryId"] == ACCOUNT
    template = answer["repositoryCreationTemplate"]
    times = {"createdAt": template["createdAt"], "updatedAt": template["createdAt"]}
    assert template == {**EVERYTHING, **times}
    assert (await ecr("DescribeRepositoryCreationTemplates"))["repositoryCreationTemplates"] == [template]
    for prefix in ("team", "team/"):
        named = await ecr("DescribeRepositoryCreationTemplates", prefixes=[prefix, "other"])
        assert named["repositoryCreationTemplates"] == [template]
    assert (await ecr.in_region("eu-west-1")("DescribeRepositoryCreationTemplates"))["repositoryCreationTemplates"] == []


async def test_who_makes_a_template_must_be_allowed_what_it_will_do(ecr: Ecr) -> None:
    declared = api.operations["CreateRepositoryCreationTemplate"]
    assert declared.also is not None

    def asked(**members: Any) -> list[tuple[str, str]]:
        request = codec.parse(shapes.MODEL, shapes.OPERATIONS["CreateRepositoryCreationTemplate"], json.dumps(members).encode())
        assert declared.also is not None
        return list(declared.also(ecr.call, request))

    below = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/team/*"
    assert asked(**EVERYTHING) == [
        ("ecr:CreateRepository", below),
        ("ecr:TagResource", below),
        ("ecr:SetRepositoryPolicy", below),
        ("ecr:PutLifecyclePolicy", below),
        ("iam:PassRole", EVERYTHING["customRoleArn"]),
    ]
    everywhere = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/*"
    assert asked(prefix="ROOT", appliedFor=["REPLICATION"]) == [("ecr:CreateRepository", everywhere)]


async def test_a_template_says_how_repositories_are_created(ecr: Ecr) -> None:
    await ecr("CreateRepositoryCreationTemplate", **EVERYTHING)
    repository = await created(ecr, "team/app")
    assert (repository.image_tag_mutability, repository.mutability_exclusions) == ("IMMUTABLE_WITH_EXCLUSION", ("dev-*",))
    assert (repository.encryption_type, repository.kms_key) == ("KMS", EVERYTHING["encryptionConfiguration"]["kmsKey"])
    assert repository.data_key is not None
    assert repository.tags == (Tag("team", "web"),)
    policy = ecr.call.store.get(REPOSITORY_POLICIES, repository.key)
    lifecycle = ecr.call.store.get(LIFECYCLE_POLICIES, repository.key)
    assert policy is not None
    assert policy.document == POLICY
    assert lifecycle is not None
    assert lifecycle.text == LIFECYCLE


async def test_repositories_that_exist_stay_as_they_are(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="team/app")
    await ecr("CreateRepositoryCreationTemplate", **EVERYTHING)
    assert (await created(ecr, "team/app")).image_tag_mutability == "MUTABLE"


async def test_only_a_push_needs_a_template(ecr: Ecr) -> None:
    assert (await created(ecr, "one", "REPLICATION")).image_tag_mutability == "MUTABLE"
    assert (await created(ecr, "two", "PULL_THROUGH_CACHE")).encryption_type == "AES256"
    with pytest.raises(RepositoryNotFoundException):
        await created(ecr, "three")


async def test_an_update_changes_what_it_names(ecr: Ecr) -> None:
    await ecr("CreateRepositoryCreationTemplate", **EVERYTHING)
    await ecr.clock.step(60)

    async def update(**members: Any) -> dict[str, Any]:
        answer = await ecr("UpdateRepositoryCreationTemplate", prefix="team", **members)
        return dict(answer["repositoryCreationTemplate"])

    made = await update(description="")
    assert made["updatedAt"].timestamp() == ecr.clock.now()
    assert {name: value for name, value in made.items() if name in EVERYTHING} == {**EVERYTHING, "description": ""}
    made = await update(
        imageTagMutability="IMMUTABLE", repositoryPolicy="", lifecyclePolicy="", customRoleArn="", appliedFor=["REPLICATION"]
    )
    assert (made["imageTagMutability"], made["appliedFor"]) == ("IMMUTABLE", ["REPLICATION"])
    assert not {"imageTagMutabilityExclusionFilters", "repositoryPolicy", "lifecyclePolicy", "customRoleArn"} & made.keys()
    made = await update(encryptionConfiguration={"encryptionType": "AES256"}, resourceTags=[])
    assert made["encryptionConfiguration"] == {"encryptionType": "AES256"}
    assert "resourceTags" not in made


async def test_a_template_is_deleted(ecr: Ecr) -> None:
    await ecr("CreateRepositoryCreationTemplate", **EVERYTHING)
    answer = await ecr("DeleteRepositoryCreationTemplate", prefix="team")
    assert answer["repositoryCreationTemplate"]["prefix"] == "team/"
    for operation in ("DeleteRepositoryCreationTemplate", "UpdateRepositoryCreationTemplate"):
        assert (await ecr.refused(operation, prefix="team"))[0] == "TemplateNotFoundException"


async def test_templates_are_listed_in_pages(ecr: Ecr) -> None:
    names = [f"team{number}" for number in range(5)]
    for name in names:
        await ecr("CreateRepositoryCreationTemplate", prefix=name, appliedFor=["REPLICATION"])
    first = await ecr("DescribeRepositoryCreationTemplates", maxResults=3)
    second = await ecr("DescribeRepositoryCreationTemplates", maxResults=3, nextToken=first["nextToken"])
    assert "nextToken" not in second
    assert [each["prefix"] for answer in (first, second) for each in answer["repositoryCreationTemplates"]] == names
    assert (await ecr.refused("DescribeRepositoryCreationTemplates", nextToken="x"))[0] == "InvalidParameterException"
    code, _ = await ecr.refused("DescribeRepositoryCreationTemplates", prefixes=["team1"], maxResults=3)
    assert code == "InvalidParameterException"


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"appliedFor": []}, "InvalidParameterException"),
        ({"imageTagMutability": "MUTABLE_WITH_EXCLUSION"}, "InvalidParameterException"),
        ({"imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "a*"}]}, "InvalidParameterException"),
        (
            {"encryptionConfiguration": {"encryptionType": "AES256", "kmsKey": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/a"}},
            "InvalidParameterException",
        ),
        ({"repositoryPolicy": "{}"}, "InvalidParameterException"),
        ({"lifecyclePolicy": '{"rules":[]}'}, "InvalidParameterException"),
        ({"customRoleArn": "arn:aws:iam::999999999999:role/ecr"}, "InvalidParameterException"),
        ({"customRoleArn": f"arn:aws:iam::{ACCOUNT}:user/ecr"}, "InvalidParameterException"),
        ({"resourceTags": [{"Key": "aws:x", "Value": ""}]}, "InvalidTagParameterException"),
        ({"prefix": "made"}, "TemplateAlreadyExistsException"),
        ({"prefix": "made/"}, "TemplateAlreadyExistsException"),
    ],
)
async def test_what_could_not_be_applied_is_refused(ecr: Ecr, members: dict[str, Any], code: str) -> None:
    await ecr("CreateRepositoryCreationTemplate", prefix="made", appliedFor=["REPLICATION"])
    given = {"prefix": "new", "appliedFor": ["CREATE_ON_PUSH"], **members}
    assert (await ecr.refused("CreateRepositoryCreationTemplate", **given))[0] == code


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("a/b/c", "a/b"),
        ("a/b/c/d", "a/b"),
        ("a/b", "a"),
        ("a/x", "a"),
        ("ab/c", "ROOT"),
        ("a", "ROOT"),
        ("b", "ROOT"),
    ],
)
async def test_the_longest_prefix_speaks(ecr: Ecr, name: str, prefix: str) -> None:
    for each in ("a", "a/b", "ROOT"):
        await ecr("CreateRepositoryCreationTemplate", prefix=each, appliedFor=["CREATE_ON_PUSH"])
    found = template_for(ecr.call.store, RepositoryId(REGION, ACCOUNT, name), "CREATE_ON_PUSH")
    assert found is not None
    assert found.prefix == prefix


_names = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map("/".join)


@given(
    st.dictionaries(_names | st.just("ROOT"), st.sets(st.sampled_from(["REPLICATION", "CREATE_ON_PUSH"]), min_size=1), max_size=8), _names
)
async def test_the_template_found_is_the_longest_of_those_that_match(templates: dict[str, set[Occasion]], name: str) -> None:
    store = memory_store(KINDS)
    for prefix, occasions in templates.items():
        template = CreationTemplate("r", "1", prefix, 0.0, 0.0, tuple(sorted(occasions)))
        await store.transact(lambda tx, template=template: tx.put(CREATION_TEMPLATES, template))  # type: ignore[misc]
    matching = [
        prefix
        for prefix, occasions in templates.items()
        if "CREATE_ON_PUSH" in occasions and (prefix == "ROOT" or name.startswith(f"{prefix}/"))
    ]
    best = max(matching, key=lambda prefix: -1 if prefix == "ROOT" else len(prefix), default=None)
    found = template_for(store, RepositoryId("r", "1", name), "CREATE_ON_PUSH")
    assert (found.prefix if found else None) == best
    assert store.count(REPOSITORIES) == 0
    await store.close()
