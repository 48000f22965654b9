"""What rules act on: documented cases, and laws against the slow, obvious evaluator."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.services.ecr.lifecycle import evaluate as evaluator
from longshore.services.ecr.lifecycle.evaluate import evaluate
from longshore.services.ecr.lifecycle.policy import Policy
from longshore.services.ecr.lifecycle.stock import Stock
from tests.services.ecr.lifecycle.policies import NOW, days_ago, image, keep, older, policy, rule, stock
from tests.services.ecr.lifecycle.reference import is_guarded, is_selected, reference
from tests.services.ecr.lifecycle.strategies import policies, repositories
from tests.services.ecr.lifecycle.vectors import CASES

EXPECTED = [case for case in CASES if "expected" in case]


def of_case(case: dict[str, Any]) -> Stock:
    images = [
        image(
            each["id"],
            each["pushedDaysAgo"],
            parts=tuple(each.get("manifestList", ())),
            last_pulled_at=days_ago(each.get("pulledDaysAgo")),
            archived=each.get("storageClass") == "archive",
            last_archived_at=days_ago(each.get("archivedDaysAgo")),
            last_activated_at=days_ago(each.get("activatedDaysAgo")),
        )
        for each in case["images"]
    ]
    return stock(*images, tags={each["id"]: tuple(each["tags"]) for each in case["images"]})


@pytest.mark.parametrize("case", EXPECTED, ids=[case["name"] for case in EXPECTED])
def test_each_case_ends_as_it_says(case: dict[str, Any]) -> None:
    rules = policy(*case["policy"]["rules"])
    found = evaluate(of_case(case), rules, NOW).acts
    assert {digest: {"action": rule.action, "rule": rule.priority} for digest, rule in found.items()} == {
        digest: {"action": expected["action"], "rule": expected["rule"]} for digest, expected in case["expected"].items()
    }
    assert reference(of_case(case), rules, NOW) == {digest: expected["rule"] for digest, expected in case["expected"].items()}


# ── laws ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(there=repositories(), rules=policies())
def test_the_fast_evaluator_does_what_the_obvious_one_does(there: Stock, rules: Policy) -> None:
    found = evaluate(there, rules, NOW)
    assert {digest: rule.priority for digest, rule in found.acts.items()} == reference(there, rules, NOW)


@given(there=repositories(), rules=policies(), seed=st.integers(0, 99))
def test_the_order_in_which_images_and_tags_come_says_nothing(there: Stock, rules: Policy, seed: int) -> None:
    images, tags = list(there.images.values()), list(there.tags.items())
    random.Random(seed).shuffle(images)
    random.Random(seed).shuffle(tags)
    one, other = evaluate(there, rules, NOW), evaluate(Stock.of(images, dict(tags)), rules, NOW)
    assert list(one.acts.items()) == list(other.acts.items())
    assert one.companions == other.companions
    assert one.newest == other.newest


@given(there=repositories(), rules=policies())
def test_a_rule_never_acts_on_what_an_earlier_one_selects(there: Stock, rules: Policy) -> None:
    found = evaluate(there, rules, NOW)
    for digest, acting in found.acts.items():
        assert is_selected(there, acting, there.images[digest])
        assert found.owner_of(digest) == acting
        earlier = [rule for rule in rules.rules if rule.priority < acting.priority]
        assert not any(is_selected(there, rule, there.images[digest]) for rule in earlier)


@given(there=repositories(), rules=policies())
def test_nothing_guarded_is_acted_on_and_nothing_goes_twice(there: Stock, rules: Policy) -> None:
    found = evaluate(there, rules, NOW)
    assert not any(is_guarded(there, there.images[digest]) for digest in found.acts)
    companions = [digest for with_it in found.companions.values() for digest in with_it]
    assert len(companions) == len(set(companions))
    assert not found.acts.keys() & set(companions)
    assert found.follows == {digest: first for first, with_it in found.companions.items() for digest in with_it}


@given(there=repositories(), rules=policies())
def test_what_goes_goes_oldest_first(there: Stock, rules: Policy) -> None:
    ages = [evaluator._base(there.images[digest]) for digest in evaluate(there, rules, NOW).acts]
    assert ages == sorted(ages)


@given(there=repositories(), rules=policies(), days=st.integers(0, 50))
def test_what_goes_today_goes_tomorrow_when_nothing_happens(there: Stock, rules: Policy, days: int) -> None:
    assert evaluate(there, rules, NOW).acts.keys() <= evaluate(there, rules, NOW + days * 86_400).acts.keys()


@given(there=repositories(), rules=policies(), seed=st.integers(0, 99))
def test_what_is_in_use_is_spared_and_nothing_else_is(there: Stock, rules: Policy, seed: int) -> None:
    in_use = {digest for digest in there.images if random.Random(f"{seed}{digest}").random() < 0.4}
    free, kept = evaluate(there, rules, NOW), evaluate(there, rules, NOW, in_use)
    assert not kept.acts.keys() & in_use
    assert not kept.follows.keys() & in_use, "what is in use does not go with anything either"
    assert kept.acts | kept.spared == free.acts
    held = {digest for digest in kept.spared if digest not in in_use}
    for digest in held:
        parts = {part for part, indexes in kept.part_of.items() if digest in indexes}
        artifacts = {artifact for artifact, subject in kept.about.items() if subject == digest}
        assert parts | artifacts, "it is spared for what it holds"


@given(keys=st.lists(st.integers(0, 20).map(float) | st.floats(0, 1e9)), run=st.integers(1, 9))
def test_sorting_in_buckets_sorts_and_leaves_equals_in_their_order(keys: list[float], run: int) -> None:
    assert evaluator.in_order(keys, run) == sorted(range(len(keys)), key=keys.__getitem__)


# ── what the laws do not say ────────────────────────────────────────────────────────────────────────────────────────


def acts(there: Stock, rules: Policy, **more: Any) -> list[str]:
    return list(evaluate(there, rules, NOW, **more).acts)


def test_an_image_is_older_than_so_many_days_only_after_that_moment() -> None:
    there = stock(image("at", 7), image("after", 7.00001))
    assert acts(there, policy(older(1, 7))) == ["after"]


def test_images_of_one_moment_are_told_apart_by_their_digests() -> None:
    there = stock(*(image(digest, 1) for digest in "cab"))
    assert acts(there, policy(keep(1, 1))) == ["a", "b"]


def test_an_image_that_came_back_from_the_archive_counts_from_then() -> None:
    there = stock(image("old", 100), image("restored", 200, last_activated_at=days_ago(1)))
    assert acts(there, policy(older(1, 30))) == ["old"]
    assert acts(there, policy(keep(1, 1))) == ["old"]


def test_an_artifact_goes_with_its_subject_and_what_is_about_the_artifact_too() -> None:
    there = stock(
        image("app", 50), image("signature", 1, subject="app"), image("note", 1, subject="signature"), image("alone", 1, subject="gone")
    )
    found = evaluate(there, policy(older(1, 7)), NOW)
    assert found.companions == {"app": ["signature", "note"]}
    assert "alone" not in found.follows
    assert found.rule_for("note") == found.acts["app"]


def test_an_artifact_that_an_index_names_stays_when_its_subject_expires() -> None:
    there = stock(image("app", 50), image("signature", 1, subject="app"), image("index", 1, parts=("signature",)))
    assert evaluate(there, policy(older(1, 7)), NOW).companions == {}


def test_an_index_that_is_archived_takes_along_what_it_alone_consists_of() -> None:
    images = (
        image("index", 50, parts=("bare", "tagged", "shared")),
        image("bare", 50),
        image("tagged", 50),
        image("shared", 50),
        image("other", 1, parts=("shared",)),
    )
    there = stock(*images, tags={"tagged": ("v1",), "other": ("v2",)})
    found = evaluate(there, policy(older(1, 7, action="transition")), NOW)
    assert found.companions == {"index": ["bare"]}
    assert evaluate(there, policy(older(1, 7)), NOW).companions == {}, "what expires leaves its parts behind"


def test_an_index_is_in_use_when_an_image_in_it_is() -> None:
    there = stock(image("index", 50, parts=("amd64", "arm64")), image("amd64", 50), image("arm64", 50))
    found = evaluate(there, policy(older(1, 7)), NOW, in_use={"arm64"})
    assert not found.acts
    assert list(found.spared) == ["index"]


def test_what_was_never_pulled_counts_as_pulled_when_it_was_pushed() -> None:
    rules = policy(rule(1, countType="sinceImagePulled", countNumber=30), allow_expire_since_pulled=True)
    there = stock(image("never", 31), image("lately", 100, last_pulled_at=days_ago(1)), image("young", 29))
    assert acts(there, rules) == ["never"]


def test_a_rule_by_count_tells_which_images_it_keeps() -> None:
    there = stock(*(image(str(age), age) for age in range(5)))
    assert evaluate(there, policy(keep(3, 2)), NOW).newest == {3: ["1", "0"]}
    assert evaluate(there, policy(keep(3, 5)), NOW).newest == {}


def test_guards_hold_for_archived_images_too() -> None:
    archived: dict[str, Any] = {"archived": True, "last_archived_at": days_ago(200)}
    there = stock(image("index", 300, parts=("part",), **archived), image("part", 300, **archived))
    rules = policy(rule(1, storageClass="archive", countType="sinceImageTransitioned", countNumber=90))
    assert acts(there, rules) == ["index"]
