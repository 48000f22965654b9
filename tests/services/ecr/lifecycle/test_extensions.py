"""Operations that AWS does not have: previews that explain, settings, the stream of events."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from longshore.aws.operation import ANY_RESOURCE, OWN_PREFIX, Api
from longshore.control.lifecycle.controller import Lifecycle
from longshore.services.ecr.events import record
from longshore.services.ecr.lifecycle.model import LIFECYCLE_SETTINGS
from longshore.services.ecr.lifecycle.shapes import GET_SETTINGS
from longshore.services.ecr.model import REGISTRY_EVENTS, REPOSITORIES, Reference
from tests.services.ecr.lifecycle.policies import NOW, image, keep, older, rule, text
from tests.services.ecr.lifecycle.test_usage import HERE, definition, has
from tests.services.ecr.lifecycle.yard import WEB, Yard, elsewhere

WEEK = text(older(1, 7))


async def preview(there: Yard, **members: Any) -> dict[str, Any]:
    return await there("LongshorePreviewLifecyclePolicy", repositoryName="web", **members)


def reasons(answer: dict[str, Any]) -> list[tuple[str, str, str, int | None, str | None]]:
    return [(i["imageDigest"], i["decision"], i["reason"], i.get("rulePriority"), i.get("heldBy")) for i in answer["images"]]


# ── previews ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_image_is_told_with_its_reason_what_goes_first(there: Yard) -> None:
    await there.put(
        image("old", 30, repository=WEB.key),
        image("signature", 1, subject="old", repository=WEB.key),
        image("release", 60, repository=WEB.key),
        image("index", 2, parts=("part",), repository=WEB.key),
        image("part", 90, repository=WEB.key),
        image("note", 1, subject="index", repository=WEB.key),
        tags={"release": ("v1",), "old": ("main",), "index": ("next",)},
    )
    rules = text(keep(1, 9, tagStatus="tagged", tagPrefixList=["v"]), older(2, 7, tagStatus="tagged", tagPrefixList=["main"]))
    answer = await preview(there, lifecyclePolicyText=rules)
    assert reasons(answer) == [
        ("old", "EXPIRE", "RULE", 2, None),
        ("signature", "EXPIRE", "GOES_WITH", 2, "old"),
        ("part", "KEEP", "PART_OF_INDEX", None, "index"),
        ("release", "KEEP", "KEPT_BY_RULE", 1, None),
        ("index", "KEEP", "NO_RULE", None, None),
        ("note", "KEEP", "ABOUT_IMAGE", None, "index"),
    ]
    assert answer["summary"] == {
        "expiringImageCount": 2,
        "expiringSizeInBytes": 2000,
        "transitioningImageCount": 0,
        "transitioningSizeInBytes": 0,
        "keptImageCount": 4,
        "keptSizeInBytes": 4000,
        "freedSizeInBytes": 1000,
        "keptInUseImageCount": 0,
        "usedImageCount": 0,
    }
    assert answer["evaluatedAt"] == NOW
    assert "forecast" not in answer
    assert there.digests >= {"old", "signature"}, "nothing happened"


async def test_it_is_the_preview_of_aws_and_more(there: Yard) -> None:
    await there.aged(30, 20, 10, 1)
    await there.policy(text(keep(1, 2)))
    await there("StartLifecyclePolicyPreview", repositoryName="web")
    await there.make_preview()
    aws = await there("GetLifecyclePolicyPreview", repositoryName="web")
    ours = await preview(there, filter={"decision": "ACT"})
    assert [each["imageDigest"] for each in ours["images"]] == [each["imageDigest"] for each in aws["previewResults"]] == ["d0", "d1"]
    assert ours["lifecyclePolicyText"] == aws["lifecyclePolicyText"]


async def test_users_are_shown_and_images_in_use_kept_where_that_is_asked_for(there: Yard) -> None:
    await there.aged(30, 20, 1)
    await has(there, definition(1, f"{HERE}/web:t0"))
    used_by = [{"type": "task-definition", "arn": "arn:aws:ecs:us-east-1:000000000000:task-definition/app:1"}]
    off = await preview(there, lifecyclePolicyText=WEEK)
    assert reasons(off)[0] == ("d0", "EXPIRE", "RULE", 1, None), "off unless asked for, as at AWS"
    assert off["images"][0]["usedBy"] == used_by
    assert (off["keepImagesInUse"], off["summary"]["usedImageCount"]) == (False, 1)
    on = await preview(there, lifecyclePolicyText=WEEK, keepImagesInUse=True)
    assert reasons(on)[:2] == [("d1", "EXPIRE", "RULE", 1, None), ("d0", "KEEP", "IN_USE", 1, None)]
    assert (on["keepImagesInUse"], on["summary"]["keptInUseImageCount"], on["summary"]["usedImageCount"]) == (True, 1, 0)
    await there("LongshorePutLifecycleSettings", repositoryName="web", keepImagesInUse=True)
    assert await preview(there, lifecyclePolicyText=WEEK) == on
    await there.policy(WEEK)
    await there.apply()
    assert there.digests == {"d0", "d2"}, "and that is what happens"


async def test_an_index_is_used_by_who_uses_an_image_in_it(there: Yard) -> None:
    part = "sha256:" + "a" * 64
    await there.put(image("index", 30, parts=(part,), repository=WEB.key), image(part, 30, repository=WEB.key))
    await has(there, definition(1, f"{HERE}/web@{part}"))
    shown = await preview(there, lifecyclePolicyText=WEEK, keepImagesInUse=True)
    assert reasons(shown) == [("index", "KEEP", "IN_USE", 1, None), (part, "KEEP", "PART_OF_INDEX", None, "index")]
    assert shown["images"][0]["usedBy"] == shown["images"][1]["usedBy"] != []


async def test_what_comes_into_use_between_judging_and_acting_is_kept(there: Yard) -> None:
    await there.aged(30, 20, 1)
    await there("LongshorePutLifecycleSettings", repositoryName="web", keepImagesInUse=True)
    await there.policy(WEEK)

    class Late(Lifecycle):
        def _step(self, tx: Any, *rest: Any) -> Any:
            return super()._step(_In(tx), *rest)

    await has(there)
    late = Late(there.store, there.clock, there.call.site)
    assert await late.reconcile(f"policy|{WEB.key}") is not None
    assert there.digests == {"d0", "d1", "d2"}


class _In:
    """A transaction in which a task definition uses an image that it did not use when the repository was judged."""

    def __init__(self, tx: Any) -> None:
        self._tx = tx

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def list(self, kind: Any, *rest: Any, **more: Any) -> Any:
        found = self._tx.list(kind, *rest, **more)
        return [*found, definition(7, f"{HERE}/web:t0")] if kind.name == "ecs.task_definition" else found


async def test_somebody_elses_account_is_not_told_who_uses_an_image(there: Yard) -> None:
    await there.aged(30)
    await has(there, definition(1, f"{HERE}/web:t0"))
    answer = await there.as_caller(
        elsewhere(there, "111111111111"),
        "LongshorePreviewLifecyclePolicy",
        registryId="000000000000",
        repositoryName="web",
        lifecyclePolicyText=WEEK,
    )
    assert "usedBy" not in answer["images"][0]


async def test_pages_speak_of_the_moment_of_the_first(there: Yard) -> None:
    await there.aged(*(7.5 - place / 10 for place in range(10)))
    found: list[tuple[str, str]] = []
    token: dict[str, str] = {}
    while True:
        page = await preview(there, lifecyclePolicyText=WEEK, maxResults=3, **token)
        found += [(each["imageDigest"], each["decision"]) for each in page["images"]]
        assert page["evaluatedAt"] == NOW
        await there.clock.step(40_000)
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert found == [(f"d{place}", "EXPIRE" if place < 5 else "KEEP") for place in range(10)]
    code, _ = await there.refused("LongshorePreviewLifecyclePolicy", repositoryName="web", lifecyclePolicyText=text(keep(1, 1)), **token)
    assert code == "InvalidParameterException"


async def test_filters(there: Yard) -> None:
    await there.aged(9, 1)
    await there.put(image("bare", 9, repository=WEB.key))

    async def shown(**chosen: str) -> list[str]:
        return [each["imageDigest"] for each in (await preview(there, lifecyclePolicyText=WEEK, filter=chosen))["images"]]

    assert await shown(decision="ACT") == ["bare", "d0"]
    assert await shown(decision="KEEP") == ["d1"]
    assert await shown(tagStatus="UNTAGGED") == ["bare"]
    assert await shown(tagStatus="TAGGED", decision="ACT") == ["d0"]


async def test_without_a_policy_there_is_nothing_to_preview(there: Yard) -> None:
    assert (await there.refused("LongshorePreviewLifecyclePolicy", repositoryName="web"))[0] == "LifecyclePolicyNotFoundException"
    code, message = await there.refused("LongshorePreviewLifecyclePolicy", repositoryName="web", lifecyclePolicyText=text(older(5, 0)))
    assert (code, "rules[0].selection.countNumber" in message) == ("InvalidParameterException", True)


async def test_only_layers_that_nothing_else_has_are_freed(there: Yard) -> None:
    shared, own, elsewhere_too = Reference("shared", 700), Reference("own", 30), Reference("foreign", 9, foreign=True)
    old = replace(image("old", 30, repository=WEB.key), references=(shared, own, elsewhere_too))
    older_still = replace(image("older", 40, repository=WEB.key), references=(shared, own))
    await there.put(old, older_still, replace(image("new", 1, repository=WEB.key), references=(shared,)))
    answer = await preview(there, lifecyclePolicyText=WEEK)
    assert answer["summary"]["freedSizeInBytes"] == 2 * 500 + 30


# ── forecasts ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_forecast_tells_what_goes_when_at_the_current_rate(there: Yard) -> None:
    await there.aged(*(float(age) + 0.5 for age in range(29, -1, -1)))  # one a day
    answer = await preview(there, lifecyclePolicyText=text(keep(1, 30)), days=90)
    (rate,) = answer["forecast"]["pushRates"]
    assert rate == {"imageTags": ["t29"], "rulePriorities": [1], "pushesPerDay": 1.0, "imageSizeInBytes": 1000}
    assert (answer["forecast"]["days"], answer["forecast"]["stepDays"]) == (90, 1)
    days = answer["forecast"]["perDay"]
    assert [day["day"] for day in days] == list(range(91))
    assert sum(day["expiring"] for day in days) == 30
    assert sum(day["expiringFuture"] for day in days) == 60
    assert answer["images"][0]["expected"] == {"inDays": 1, "at": NOW + 86_400, "action": "EXPIRE", "rulePriority": 1}


async def test_images_that_are_gone_count_as_pushes_as_long_as_events_tell_of_them(there: Yard) -> None:
    await there.aged(1)
    push = {"action-type": "PUSH", "image-digest": "gone", "image-tag": "x1"}
    events = [
        ("a", NOW - 5, push),
        ("b", NOW - 5, push | {"image-tag": "x2"}),
        ("c", NOW - 4, push | {"image-digest": "d0", "image-tag": "t0"}),
        ("d", NOW - 3, push | {"image-digest": "part", "image-tag": ""}),
        ("e", NOW - 40 * 86_400, push | {"image-digest": "long ago"}),
    ]
    held = there.store.get(REPOSITORIES, WEB.key)
    assert held is not None
    await there.store.transact(lambda tx: [record(tx, held, "ECR Image Action", detail, at, ordinal=o) for o, at, detail in events])
    answer = await preview(there, lifecyclePolicyText=text(keep(1, 30)), days=1)
    (rate,) = answer["forecast"]["pushRates"]
    assert (rate["imageTags"], rate["pushesPerDay"]) == (["x1", "x2"], round(2 / 30, 4))
    await there.store.transact(lambda tx: tx.put(REPOSITORIES, replace(held, created_at=NOW - 4 * 86_400)))
    (rate,) = (await preview(there, lifecyclePolicyText=text(keep(1, 30)), days=1))["forecast"]["pushRates"]
    assert rate["pushesPerDay"] == 0.5, "a young repository has been pushed to for only so long"
    await there.store.transact(lambda tx: tx.put(REPOSITORIES, replace(held, created_at=NOW - 1)))
    assert (await preview(there, lifecyclePolicyText=text(keep(1, 30)), days=1))["forecast"]["pushRates"] == [], (
        "its namesake does not count"
    )


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_settings_are_those_of_aws_until_they_are_put(there: Yard) -> None:
    defaults = {
        "registryId": "000000000000",
        "repositoryName": "web",
        "keepImagesInUse": False,
        "allowExpireSincePulled": False,
        "countActiveRevisions": True,
        "countRecentRevisions": 0,
    }
    assert await there("LongshoreGetLifecycleSettings", repositoryName="web") == defaults
    put = await there("LongshorePutLifecycleSettings", repositoryName="web", keepImagesInUse=True, countRecentRevisions=3)
    assert put == defaults | {"keepImagesInUse": True, "countRecentRevisions": 3}
    assert await there("LongshoreGetLifecycleSettings", repositoryName="web") == put
    assert await there("LongshorePutLifecycleSettings", repositoryName="web") == defaults


async def test_a_setting_that_the_policy_needs_cannot_be_turned_off(there: Yard) -> None:
    pulled = text(rule(1, countType="sinceImagePulled", countNumber=30))
    assert (await there.refused("PutLifecyclePolicy", repositoryName="web", lifecyclePolicyText=pulled))[0] == "InvalidParameterException"
    await there("LongshorePutLifecycleSettings", repositoryName="web", allowExpireSincePulled=True)
    await there.policy(pulled)
    code, _ = await there.refused("LongshorePutLifecycleSettings", repositoryName="web")
    assert code == "InvalidParameterException"
    assert there.store.list(LIFECYCLE_SETTINGS)[0].allow_expire_since_pulled


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_events_are_listed_oldest_first_a_page_at_a_time(there: Yard) -> None:
    await there.aged(*range(20, 13, -1))
    await there.policy(text(keep(1, 1)))
    await there.apply()
    assert there.store.count(REGISTRY_EVENTS) == 6
    page = await there("LongshoreListRegistryEvents", maxResults=4)
    rest = await there("LongshoreListRegistryEvents", maxResults=4, nextToken=page["nextToken"])
    assert "nextToken" not in rest
    events = [*page["events"], *rest["events"]]
    assert sorted(each["detail"]["image-digest"] for each in events) == [f"d{place}" for place in range(6)]
    assert len({each["eventId"] for each in events}) == 6
    assert events[0]["detailType"] == "ECR Image Action"
    assert events[0]["resources"] == [WEB.arn]
    assert events[0]["detail"]["lifecycle-rule-priority"] == 1
    assert (await there("LongshoreListRegistryEvents", newest=2))["events"] == events[-2:]
    assert await there("LongshoreListRegistryEvents", repositoryName="other") == {"events": []}
    assert len((await there("LongshoreListRegistryEvents", repositoryName="web", startTime=NOW))["events"]) == 6
    for later in (NOW + 1, 1e10, 1e308):
        assert (await there("LongshoreListRegistryEvents", startTime=later))["events"] == []
    assert len((await there("LongshoreListRegistryEvents", startTime=-1e308))["events"]) == 6
    for paging in ({"maxResults": 1}, {"nextToken": page["nextToken"]}):
        assert (await there.refused("LongshoreListRegistryEvents", newest=1, **paging))[0] == "InvalidParameterException"
    assert (await there("LongshoreListRegistryEvents", registryId="111111111111"))["events"] == [], "another registry is another stream"


# ── what may be declared ────────────────────────────────────────────────────────────────────────────────────────────


async def nothing(call: Any, request: Any) -> None: ...


def test_only_operations_of_our_own_bring_a_shape_and_all_of_them_do() -> None:
    api = Api("ecr")
    with pytest.raises(ValueError, match="PutImage"):
        api.operation("PutImage", resource=ANY_RESOURCE, shape=GET_SETTINGS)(nothing)
    with pytest.raises(ValueError, match="LongshoreDance"):
        api.operation(f"{OWN_PREFIX}Dance", resource=ANY_RESOURCE)(nothing)
