"""Lifecycle policies: from text to rules, or to an error that says which rule is wrong, and how.

A policy is judged whole before any of it counts: each rule by itself, then the rules beside each other. Member names, limits
and pairings are those of AWS's user guide. https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

#: rules in a policy
MOST_RULES = 50
#: `*` in a pattern
MOST_STARS = 4
#: days in the archive before a rule may expire an image
LEAST_DAYS_ARCHIVED = 90
DAY_S = 86_400.0

TagStatus = Literal["tagged", "untagged", "any"]
StorageClass = Literal["standard", "archive"]
CountType = Literal["imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned"]

_Natural = Annotated[int, Meta(ge=1, le=2**31 - 1)]
_Text = Annotated[str, Meta(min_length=1, max_length=300)]
_Texts = Annotated[tuple[_Text, ...], Meta(min_length=1)]


class PolicyInvalid(Exception):
    """The policy cannot be accepted; the message says what is wrong with it."""


class TagTest(msgspec.Struct, frozen=True, gc=False):
    """One entry of a tag list: `*` in a pattern stands for any run of characters, and it must match from end to end."""

    text: str
    is_prefix: bool

    @property
    def head(self) -> str:
        """What every tag that matches begins with."""
        return self.text if self.is_prefix else self.text.partition("*")[0]

    @property
    def head_decides(self) -> bool:
        """Whether every tag that begins with `head` matches."""
        return self.is_prefix or self.text == f"{self.head}*"

    def matches(self, tag: str) -> bool:
        return self.matcher()(tag)

    def matcher(self) -> Callable[[str], bool]:
        """`matches`, made for many tags."""
        if self.is_prefix:
            return lambda tag: tag.startswith(self.text)
        first, *rest = self.text.split("*")
        if not rest:
            return lambda tag: tag == first
        *middle, last = rest
        least = len(first) + sum(map(len, middle)) + len(last)

        def match(tag: str) -> bool:
            if len(tag) < least or not tag.startswith(first) or not tag.endswith(last):
                return False
            at = len(first)
            for part in middle:  # the leftmost place for each leaves most room for the next
                at = tag.find(part, at)
                if at < 0:
                    return False
                at += len(part)
            return at <= len(tag) - len(last)

        return match


class Rule(msgspec.Struct, frozen=True, gc=False):
    priority: int
    tag_status: TagStatus
    #: each must be matched by some tag of an image
    tag_tests: tuple[TagTest, ...]
    storage_class: StorageClass
    count_type: CountType
    count: int
    action: Literal["EXPIRE", "TRANSITION"]
    description: str = ""

    @property
    def age_s(self) -> float:
        return self.count * DAY_S


class Policy(msgspec.Struct, frozen=True, gc=False):
    #: by priority
    rules: tuple[Rule, ...]

    @property
    def expires_since_pulled(self) -> bool:
        """Whether it needs the setting that permits that."""
        return any(rule.count_type == "sinceImagePulled" and rule.action == "EXPIRE" for rule in self.rules)


# ── as it is written ────────────────────────────────────────────────────────────────────────────────────────────────


class _Selection(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    tag_status: TagStatus
    count_type: CountType
    count_number: _Natural
    tag_pattern_list: _Texts | None = None
    tag_prefix_list: _Texts | None = None
    storage_class: StorageClass = "standard"
    count_unit: Literal["days"] | None = None


class _Action(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    type: Literal["expire", "transition"]
    target_storage_class: Literal["archive"] | None = None


class _Rule(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    rule_priority: _Natural
    selection: _Selection
    action: _Action
    description: str = ""


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rules: Annotated[tuple[_Rule, ...], Meta(min_length=1)]


_decoder = msgspec.json.Decoder(_Document)


def parse_policy(text: str, *, allow_expire_since_pulled: bool = False) -> Policy:
    """Raises PolicyInvalid."""
    try:
        document = _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise PolicyInvalid(_explained(str(error))) from None
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise PolicyInvalid(f"the policy is not valid JSON: {error}") from None
    if len(document.rules) > MOST_RULES:
        raise PolicyInvalid(f"a policy has at most {MOST_RULES} rules, this one has {len(document.rules)}")
    for written in document.rules:
        wrong = _wrong_alone(written, allow_expire_since_pulled=allow_expire_since_pulled)
        if wrong:
            raise PolicyInvalid(f"rule {written.rule_priority}: {wrong}")
    rules = tuple(sorted((_rule(written) for written in document.rules), key=lambda rule: rule.priority))
    _check_together(rules)
    return Policy(rules)


def _explained(message: str) -> str:
    """What msgspec found, with the place first: `$.rules[1].selection: …`."""
    what, _, where = message.partition(" - at ")
    place = where.strip("`").removeprefix("$").removeprefix(".")
    return f"{place}: {what}" if place else what


def _rule(written: _Rule) -> Rule:
    selection = written.selection
    patterns = (TagTest(text, is_prefix=False) for text in sorted(set(selection.tag_pattern_list or ())))
    prefixes = (TagTest(text, is_prefix=True) for text in sorted(set(selection.tag_prefix_list or ())))
    return Rule(
        priority=written.rule_priority,
        description=written.description,
        tag_status=selection.tag_status,
        tag_tests=(*patterns, *prefixes),
        storage_class=selection.storage_class,
        count_type=selection.count_type,
        count=selection.count_number,
        action="EXPIRE" if written.action.type == "expire" else "TRANSITION",
    )


# ── what is wrong with a rule ───────────────────────────────────────────────────────────────────────────────────────


def _wrong_alone(rule: _Rule, *, allow_expire_since_pulled: bool) -> str | None:
    return _wrong_tags(rule.selection) or _wrong_count(rule.selection) or _wrong_action(rule, allow_expire_since_pulled)


def _wrong_tags(selection: _Selection) -> str | None:
    lists = [each for each in (selection.tag_pattern_list, selection.tag_prefix_list) if each is not None]
    if selection.tag_status != "tagged":
        return f"tagPatternList and tagPrefixList are for tagStatus tagged, not {selection.tag_status}" if lists else None
    if len(lists) != 1:
        return "tagStatus tagged needs exactly one of tagPatternList and tagPrefixList"
    starry = [pattern for pattern in selection.tag_pattern_list or () if pattern.count("*") > MOST_STARS]
    return f"the pattern '{starry[0]}' has more than {MOST_STARS} wildcards" if starry else None


def _wrong_count(selection: _Selection) -> str | None:
    by_number = selection.count_type == "imageCountMoreThan"
    if by_number and selection.count_unit is not None:
        return "countUnit must not be specified with countType imageCountMoreThan"
    if not by_number and selection.count_unit is None:
        return f"countUnit must be specified with countType {selection.count_type}"
    of_archive = selection.count_type == "sinceImageTransitioned"
    if of_archive and selection.storage_class != "archive":
        return "countType sinceImageTransitioned needs storageClass archive"
    if not of_archive and selection.storage_class == "archive":
        return f"countType {selection.count_type} is for storageClass standard"
    if of_archive and selection.count_number < LEAST_DAYS_ARCHIVED:
        return f"countNumber must be at least {LEAST_DAYS_ARCHIVED} with countType sinceImageTransitioned, not {selection.count_number}"
    return None


def _wrong_action(rule: _Rule, allow_expire_since_pulled: bool) -> str | None:
    action, count_type = rule.action, rule.selection.count_type
    if action.type == "expire":
        if action.target_storage_class is not None:
            return "targetStorageClass must not be specified with action type expire"
        if count_type == "sinceImagePulled" and not allow_expire_since_pulled:
            return "countType sinceImagePulled cannot be combined with action type expire, only with transition"
        return None
    if action.target_storage_class is None:
        return "action type transition needs targetStorageClass archive"
    if count_type == "sinceImageTransitioned":
        return "countType sinceImageTransitioned cannot be combined with action type transition, only with expire"
    return None


# ── what is wrong with rules beside each other ──────────────────────────────────────────────────────────────────────


def _check_together(rules: tuple[Rule, ...]) -> None:
    for before, after in pairwise(rules):
        if before.priority == after.priority:
            raise PolicyInvalid(f"rule {after.priority}: rulePriority {after.priority} is used more than once")
    for storage_class in ("standard", "archive"):
        _check_class([rule for rule in rules if rule.storage_class == storage_class], storage_class)


def _check_class(rules: list[Rule], storage_class: str) -> None:
    untagged = [rule.priority for rule in rules if rule.tag_status == "untagged"]
    if len(untagged) > 1:
        raise PolicyInvalid(f"rules {_listed(untagged)}: only one rule may have tagStatus untagged for storageClass {storage_class}")
    for rule in rules[:-1]:
        if rule.tag_status == "any":
            raise PolicyInvalid(
                f"rule {rule.priority}: a rule with tagStatus any must have the highest rulePriority of all "
                f"for storageClass {storage_class}, and rule {rules[-1].priority} comes after it"
            )
    seen: dict[tuple[TagTest, ...], int] = {}
    for rule in rules:
        if rule.tag_tests and seen.setdefault(rule.tag_tests, rule.priority) != rule.priority:
            tags = ", ".join(test.text for test in rule.tag_tests)
            raise PolicyInvalid(
                f"rules {_listed([seen[rule.tag_tests], rule.priority])}: only one rule may select the tags [{tags}] "
                f"for storageClass {storage_class}"
            )


def _listed(priorities: Iterable[int]) -> str:
    return " and ".join(str(priority) for priority in priorities)
