"""Lifecycle policies: what is accepted, and what is refused with words that name the rule."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.services.ecr.lifecycle.policy import PolicyInvalid, TagTest, parse_policy
from tests.services.ecr.lifecycle.policies import keep, older, policy, rule, text
from tests.services.ecr.lifecycle.vectors import CASES, SAMPLES, policies_in

untagged = {"tagStatus": "untagged"}


def tagged(**lists: Any) -> dict[str, Any]:
    return {"tagStatus": "tagged", **lists}


def why_not(*rules: Any) -> str:
    with pytest.raises(PolicyInvalid) as refused:
        parse_policy(text(*rules))
    return str(refused.value)


# ── the policies of others ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_each_case_is_accepted_or_refused_as_it_says(case: dict[str, Any]) -> None:
    if "expectedError" in case:
        with pytest.raises(PolicyInvalid):
            parse_policy(json.dumps(case["policy"]))
    else:
        assert len(parse_policy(json.dumps(case["policy"])).rules) == len(case["policy"]["rules"])


@pytest.mark.parametrize("path", SAMPLES, ids=[path.name for path in SAMPLES])
def test_policies_found_in_the_world_are_accepted(path: Path) -> None:
    found = policies_in(path)
    assert found
    for each in found:
        assert parse_policy(each).rules


# ── rules by themselves ─────────────────────────────────────────────────────────────────────────────────────────────

ARCHIVE = {"storageClass": "archive", "countType": "sinceImageTransitioned"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (keep(3, 1, tagStatus="tagged"), "rule 3: tagStatus tagged needs exactly one of tagPatternList and tagPrefixList"),
        (keep(3, 1, **tagged(tagPatternList=["a"], tagPrefixList=["a"])), "rule 3: tagStatus tagged needs exactly one"),
        (keep(3, 1, tagStatus="any", tagPatternList=["a"]), "rule 3: tagPatternList and tagPrefixList are for tagStatus tagged, not any"),
        (keep(3, 1, **tagged(tagPatternList=[])), "rules[0].selection.tagPatternList: Expected `array` of length >= 1"),
        (keep(3, 1, **tagged(tagPatternList=["*a*b*c*d*"])), "rule 3: the pattern '*a*b*c*d*' has more than 4 wildcards"),
        (keep(3, 1, countUnit="days"), "rule 3: countUnit must not be specified with countType imageCountMoreThan"),
        (older(3, 1, countUnit=None), "rule 3: countUnit must be specified with countType sinceImagePushed"),
        (older(3, 1, countUnit="hours"), "rules[0].selection.countUnit: Invalid enum value 'hours'"),
        (older(3, 0), "rules[0].selection.countNumber: Expected `int` >= 1"),
        (older(3, -5), "rules[0].selection.countNumber: Expected `int` >= 1"),
        (older(3, "7"), "rules[0].selection.countNumber: Expected `int`, got `str`"),  # type: ignore[arg-type]
        (older(3, 10**30), "rules[0].selection.countNumber: Expected `int` <= 2147483647"),
        (older(0, 7), "rules[0].rulePriority: Expected `int` >= 1"),
        (older(3, 7, storageClass="archive"), "rule 3: countType sinceImagePushed is for storageClass standard"),
        (rule(3, countType="sinceImageTransitioned", countNumber=90), "rule 3: countType sinceImageTransitioned needs storageClass"),
        (rule(3, **ARCHIVE, countNumber=89), "rule 3: countNumber must be at least 90 with countType sinceImageTransitioned, not 89"),
        (rule(3, **ARCHIVE, countNumber=90, action="transition"), "rule 3: countType sinceImageTransitioned cannot be combined with"),
        (rule(3, countType="sinceImagePulled", countNumber=9), "rule 3: countType sinceImagePulled cannot be combined with action"),
        (older(3, 7) | {"action": {"type": "transition"}}, "rule 3: action type transition needs targetStorageClass archive"),
        (older(3, 7) | {"action": {"type": "expire", "targetStorageClass": "archive"}}, "rule 3: targetStorageClass must not be specified"),
        (older(3, 7) | {"action": {"type": "delete"}}, "rules[0].action.type: Invalid enum value 'delete'"),
        (older(3, 7) | {"colour": "red"}, "rules[0]: Object contains unknown field `colour`"),
        (older(3, 7, tagstatus="any"), "rules[0].selection: Object contains unknown field `tagstatus`"),
    ],
)  # fmt: skip
def test_a_rule_that_is_wrong_is_named_with_what_is_wrong(wrong: dict[str, Any], words: str) -> None:
    assert words in why_not(wrong)


def test_expiring_what_was_not_pulled_is_allowed_only_where_that_was_asked_for() -> None:
    written = rule(1, countType="sinceImagePulled", countNumber=30)
    assert policy(written, allow_expire_since_pulled=True).expires_since_pulled
    assert not policy(older(1, 7), allow_expire_since_pulled=True).expires_since_pulled
    assert "cannot be combined" in why_not(written)


@pytest.mark.parametrize(
    "nonsense",
    ["", " ", "null", "[]", "1", '"x"', "{", "{}", '{"rules":{}}', '{"rules":[]}', '{"rules":[null]}', "[" * 9000, '{"rules":' * 3000],
)
def test_what_is_no_policy_is_refused(nonsense: str) -> None:
    with pytest.raises(PolicyInvalid):
        parse_policy(nonsense)


# ── rules beside each other ─────────────────────────────────────────────────────────────────────────────────────────


def patterned(priority: int, *patterns: str) -> dict[str, Any]:
    return keep(priority, 1, **tagged(tagPatternList=list(patterns)))


def test_fifty_rules_are_the_most() -> None:
    rules = [patterned(priority, f"p{priority}*") for priority in range(1, 51)]
    assert len(policy(*rules).rules) == 50
    assert why_not(*rules, patterned(51, "x*")) == "a policy has at most 50 rules, this one has 51"


def test_priorities_may_have_gaps_but_no_twins() -> None:
    assert [each.priority for each in policy(patterned(70, "b"), patterned(2, "a")).rules] == [2, 70]
    assert why_not(patterned(7, "a"), patterned(7, "b")) == "rule 7: rulePriority 7 is used more than once"


def test_a_rule_for_any_image_comes_last_of_its_storage_class() -> None:
    assert "rule 1: a rule with tagStatus any must have the highest rulePriority" in why_not(keep(1, 5), older(2, 7, **untagged))
    assert policy(older(1, 7, **untagged), keep(2, 5)).rules
    both = (older(1, 30, action="transition"), rule(2, **ARCHIVE, countNumber=365))
    assert [each.storage_class for each in policy(*both).rules] == ["standard", "archive"]


def test_one_rule_for_untagged_images_in_each_storage_class() -> None:
    assert "rules 1 and 2: only one rule may have tagStatus untagged" in why_not(keep(1, 3, **untagged), older(2, 3, **untagged))
    assert policy(older(1, 3, **untagged), rule(2, **ARCHIVE, **untagged, countNumber=90)).rules


def test_no_two_rules_select_the_same_tags() -> None:
    assert "rules 1 and 4: only one rule may select the tags [a*, b]" in why_not(patterned(1, "a*", "b"), patterned(4, "b", "a*", "b"))
    prefixed = keep(2, 1, **tagged(tagPrefixList=["a"]))
    assert policy(patterned(1, "a"), prefixed).rules, "a prefix is another thing than a pattern of the same letters"


# ── patterns ────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(
    pattern=st.text("ab*", max_size=8).filter(lambda pattern: len(pattern) > 0 and pattern.count("*") <= 4), tag=st.text("ab", max_size=10)
)
def test_a_pattern_matches_what_a_shell_would_match(pattern: str, tag: str) -> None:
    assert TagTest(pattern, is_prefix=False).matches(tag) == fnmatchcase(tag, pattern)


@given(text=st.text("ab*?[", min_size=1, max_size=5), tag=st.text("ab*?[", max_size=6))
def test_a_prefix_is_taken_letter_by_letter(text: str, tag: str) -> None:
    assert TagTest(text, is_prefix=True).matches(tag) == tag.startswith(text)


@given(text=st.text("ab*", min_size=1, max_size=6), tag=st.text("ab", max_size=8), is_prefix=st.booleans())
def test_every_tag_that_matches_begins_with_the_head_and_the_head_may_decide(text: str, tag: str, is_prefix: bool) -> None:
    test = TagTest(text, is_prefix)
    if test.matches(tag):
        assert tag.startswith(test.head)
    if test.head_decides:
        assert test.matches(tag) == tag.startswith(test.head)


def test_a_pattern_made_to_be_slow_is_not() -> None:
    match = TagTest("*a*a*a*b", is_prefix=False).matcher()
    assert not any(match("a" * 128) for _ in range(2_000))
