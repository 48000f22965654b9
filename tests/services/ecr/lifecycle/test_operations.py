"""Lifecycle policies and previews through ECR's own operations."""

from __future__ import annotations

import json
from typing import Any

import botocore.session
import pytest
from msgspec.structs import replace

from longshore.services.ecr.lifecycle.model import LIFECYCLE_POLICIES, LIFECYCLE_PREVIEWS, PREVIEW_PAGES
from longshore.services.ecr.model import IMAGES
from tests.services.ecr.lifecycle.policies import image, keep, older, rule, text
from tests.services.ecr.lifecycle.yard import WEB, Yard

KEEP_ONE = text(keep(1, 1))
WEEK = text(older(1, 7))


async def test_a_policy_is_given_back_as_it_was_put(there: Yard) -> None:
    put = await there("PutLifecyclePolicy", repositoryName="web", lifecyclePolicyText=KEEP_ONE)
    assert put == {"registryId": "000000000000", "repositoryName": "web", "lifecyclePolicyText": KEEP_ONE}
    assert await there("GetLifecyclePolicy", repositoryName="web") == put
    assert await there("DeleteLifecyclePolicy", repositoryName="web") == put
    for operation in ("GetLifecyclePolicy", "DeleteLifecyclePolicy", "StartLifecyclePolicyPreview"):
        code, message = await there.refused(operation, repositoryName="web")
        assert code == "LifecyclePolicyNotFoundException"
        assert message.startswith("Lifecycle policy does not exist for the repository with name 'web'")


async def test_a_policy_tells_when_it_was_last_applied(there: Yard) -> None:
    await there.policy(KEEP_ONE)
    await there.apply()
    at = (await there("GetLifecyclePolicy", repositoryName="web"))["lastEvaluatedAt"]
    assert at.timestamp() == there.clock.now()
    await there.policy(KEEP_ONE)
    assert "lastEvaluatedAt" in await there("GetLifecyclePolicy", repositoryName="web"), "it is the same policy"
    await there.policy(WEEK)
    assert "lastEvaluatedAt" not in await there("GetLifecyclePolicy", repositoryName="web")


@pytest.mark.parametrize("operation", ["PutLifecyclePolicy", "StartLifecyclePolicyPreview"])
async def test_a_policy_that_is_wrong_is_refused_in_words_that_say_where(there: Yard, operation: str) -> None:
    code, message = await there.refused(operation, repositoryName="web", lifecyclePolicyText=text(keep(4, 1, countUnit="days")))
    assert code == "InvalidParameterException"
    assert message == (
        "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: "
        "rule 4: countUnit must not be specified with countType imageCountMoreThan'"
    )
    code, _ = await there.refused(operation, repositoryName="web", lifecyclePolicyText='{"rules":[]}')
    assert code == "InvalidParameterException", "too short is said before it is read"
    code, _ = await there.refused(operation, repositoryName="web", lifecyclePolicyText=" " * 30_721)
    assert code == "InvalidParameterException"
    assert not there.store.list(LIFECYCLE_POLICIES)


@pytest.mark.parametrize(
    "operation", ["GetLifecyclePolicy", "DeleteLifecyclePolicy", "StartLifecyclePolicyPreview", "GetLifecyclePolicyPreview"]
)
async def test_a_repository_that_is_not_there_has_none(there: Yard, operation: str) -> None:
    code, _ = await there.refused(operation, repositoryName="nowhere")
    assert code == "RepositoryNotFoundException"


async def test_a_policy_goes_with_its_repository(there: Yard) -> None:
    await there.policy(KEEP_ONE)
    await there("StartLifecyclePolicyPreview", repositoryName="web")
    await there.make_preview()
    await there("DeleteRepository", repositoryName="web")
    await there("CreateRepository", repositoryName="web")
    assert (await there.refused("GetLifecyclePolicy", repositoryName="web"))[0] == "LifecyclePolicyNotFoundException"
    assert (await there.refused("GetLifecyclePolicyPreview", repositoryName="web"))[0] == "LifecyclePolicyPreviewNotFoundException"


# ── previews ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def preview(there: Yard, policy: str | None = None, **members: Any) -> dict[str, Any]:
    given = {"lifecyclePolicyText": policy} if policy else {}
    await there("StartLifecyclePolicyPreview", repositoryName="web", **given)
    await there.make_preview()
    return await there("GetLifecyclePolicyPreview", repositoryName="web", **members)


def digests(answer: dict[str, Any]) -> list[str]:
    return [each["imageDigest"] for each in answer["previewResults"]]


async def test_a_preview_is_in_progress_until_the_controller_has_made_it(there: Yard) -> None:
    code, message = await there.refused("GetLifecyclePolicyPreview", repositoryName="web")
    assert code == "LifecyclePolicyPreviewNotFoundException"
    assert message.startswith("Lifecycle policy preview does not exist")
    await there.aged(9, 8)
    started = await there("StartLifecyclePolicyPreview", repositoryName="web", lifecyclePolicyText=KEEP_ONE)
    assert started["status"] == "IN_PROGRESS"
    seen = await there("GetLifecyclePolicyPreview", repositoryName="web")
    assert seen == {"registryId": "000000000000", "repositoryName": "web", "lifecyclePolicyText": KEEP_ONE, "status": "IN_PROGRESS"}
    code, _ = await there.refused("StartLifecyclePolicyPreview", repositoryName="web", lifecyclePolicyText=KEEP_ONE)
    assert code == "LifecyclePolicyPreviewInProgressException"
    await there.make_preview()
    done = await there("GetLifecyclePolicyPreview", repositoryName="web")
    assert done["status"] == "COMPLETE"
    assert done["summary"] == {"expiringImageTotalCount": 1}
    (result,) = done["previewResults"]
    assert result.pop("imagePushedAt").timestamp() == there.clock.now() - 9 * 86_400
    assert result == {
        "imageTags": ["t0"],
        "imageDigest": "d0",
        "action": {"type": "EXPIRE"},
        "appliedRulePriority": 1,
        "storageClass": "STANDARD",
    }
    assert there.digests == {"d0", "d1"}, "nothing happened"


async def test_a_preview_of_the_policy_that_is_put(there: Yard) -> None:
    await there.aged(9, 8, 1)
    await there.policy(WEEK)
    assert digests(await preview(there)) == ["d0", "d1"]


async def test_transitions_are_counted_by_themselves(there: Yard) -> None:
    await there.aged(100, 50, 1)
    rules = text(rule(1, countType="sinceImagePushed", countNumber=40, action="transition"))
    seen = await preview(there, rules)
    assert seen["summary"] == {
        "expiringImageTotalCount": 0,
        "transitioningImageTotalCounts": [{"targetStorageClass": "ARCHIVE", "imageTotalCount": 2}],
    }
    assert seen["previewResults"][0]["action"] == {"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}


async def test_a_preview_says_the_same_whatever_happens_meanwhile(there: Yard) -> None:
    await there.aged(9, 8, 1)
    before = await preview(there, WEEK)
    await there.policy(WEEK)
    await there.apply()
    assert there.digests == {"d2"}
    assert await there("GetLifecyclePolicyPreview", repositoryName="web") == before


async def test_pages_of_a_preview_are_its_whole(there: Yard) -> None:
    await there.aged(*(100 - place / 10 for place in range(750)))
    await there("StartLifecyclePolicyPreview", repositoryName="web", lifecyclePolicyText=WEEK)
    await there.make_preview()
    assert len(there.store.list(PREVIEW_PAGES)) == 2
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = await there("GetLifecyclePolicyPreview", repositoryName="web", maxResults=80, **token)
        assert page["summary"] == {"expiringImageTotalCount": 750}
        found += digests(page)
        if "nextToken" not in page:
            break
        assert len(page["previewResults"]) == 80
        token = {"nextToken": page["nextToken"]}
    assert found == [f"d{place}" for place in range(750)]
    assert len(digests(await there("GetLifecyclePolicyPreview", repositoryName="web"))) == 100, "unless more are asked for"


async def test_a_token_leads_on_in_its_own_preview_only(there: Yard) -> None:
    await there.aged(9, 8, 8)
    token = (await preview(there, WEEK, maxResults=1))["nextToken"]
    code, message = await there.refused("GetLifecyclePolicyPreview", repositoryName="web", nextToken=token, filter={"tagStatus": "TAGGED"})
    assert (code, "Invalid token" in message) == ("InvalidParameterException", True)
    await preview(there, WEEK)
    assert (await there.refused("GetLifecyclePolicyPreview", repositoryName="web", nextToken=token))[0] == "InvalidParameterException"


async def test_results_can_be_filtered_and_named(there: Yard) -> None:
    await there.aged(9, 9, 9)
    await there.put(image("bare", 20, repository=WEB.key))
    await preview(there, WEEK)

    async def shown(**members: Any) -> list[str]:
        return digests(await there("GetLifecyclePolicyPreview", repositoryName="web", **members))

    assert await shown(filter={"tagStatus": "UNTAGGED"}) == ["bare"]
    assert await shown(filter={"tagStatus": "TAGGED"}) == ["d0", "d1", "d2"]
    assert await shown(filter={"tagStatus": "ANY"}) == ["bare", "d0", "d1", "d2"]
    assert await shown(imageIds=[{"imageTag": "t1"}, {"imageDigest": "bare"}, {"imageTag": "absent"}]) == ["bare", "d1"]
    assert await shown(imageIds=[{"imageTag": "t1", "imageDigest": "d0"}]) == [], "both must be of one image"
    code, _ = await there.refused("GetLifecyclePolicyPreview", repositoryName="web", imageIds=[{}])
    assert code == "InvalidParameterException"
    for paging in ({"maxResults": 5}, {"nextToken": "x"}):
        code, _ = await there.refused("GetLifecyclePolicyPreview", repositoryName="web", imageIds=[{"imageTag": "t1"}], **paging)
        assert code == "InvalidParameterException"


async def test_a_preview_is_there_for_a_day(there: Yard) -> None:
    await there.aged(9)
    await preview(there, WEEK)
    await there.clock.step(86_399)
    await there.make_preview()
    assert (await there("GetLifecyclePolicyPreview", repositoryName="web"))["status"] == "COMPLETE"
    await there.clock.step(2)
    await there.make_preview()
    seen = await there("GetLifecyclePolicyPreview", repositoryName="web")
    assert seen["status"] == "EXPIRED"
    assert "previewResults" not in seen
    assert "summary" not in seen
    assert not there.store.list(PREVIEW_PAGES)
    assert digests(await preview(there, WEEK)) == ["d0"], "another can be made"


async def test_a_preview_takes_the_place_of_the_one_before(there: Yard) -> None:
    await there.aged(*range(20, 10, -1))
    assert len(digests(await preview(there, WEEK))) == 10
    assert digests(await preview(there, text(keep(1, 9)))) == ["d0"]
    assert len(there.store.list(PREVIEW_PAGES)) == 1


async def test_a_preview_that_was_interrupted_is_made_anew_without_leftovers(there: Yard) -> None:
    await there.aged(*range(20, 10, -1))
    await there("StartLifecyclePolicyPreview", repositoryName="web", lifecyclePolicyText=WEEK)
    await there.make_preview()
    made = there.store.list(PREVIEW_PAGES)[0]
    await there("StartLifecyclePolicyPreview", repositoryName="web", lifecyclePolicyText=WEEK)
    again = there.store.list(LIFECYCLE_PREVIEWS)[0]
    left = [replace(made, preview_id=again.id, number=number) for number in range(3)]
    await there.store.transact(lambda tx: [tx.put(PREVIEW_PAGES, each) for each in left])
    await there.store.transact(lambda tx: tx.delete(IMAGES, IMAGES.key(there.store.list(IMAGES)[0])))
    await there.make_preview()
    seen = await there("GetLifecyclePolicyPreview", repositoryName="web")
    assert len(digests(seen)) == 9 == seen["summary"]["expiringImageTotalCount"]


async def test_a_preview_that_is_not_allowed_any_more_fails(there: Yard) -> None:
    await there.aged(90)
    await there("LongshorePutLifecycleSettings", repositoryName="web", allowExpireSincePulled=True)
    pulled = text(rule(1, countType="sinceImagePulled", countNumber=7))
    await there("StartLifecyclePolicyPreview", repositoryName="web", lifecyclePolicyText=pulled)
    await there("LongshorePutLifecycleSettings", repositoryName="web")
    await there.make_preview()
    seen = await there("GetLifecyclePolicyPreview", repositoryName="web")
    assert seen["status"] == "FAILED"
    assert "previewResults" not in seen
    assert digests(await preview(there, WEEK)) == ["d0"], "another can be made"


def test_the_waiter_of_aws_ends_with_a_complete_preview() -> None:
    waiter = botocore.session.get_session().get_waiter_model("ecr").get_waiter("LifecyclePolicyPreviewComplete")
    assert {(each.state, json.dumps(each.expected)) for each in waiter.acceptors} == {("success", '"COMPLETE"'), ("failure", '"FAILED"')}
