"""Time travel: what a policy would do to a repository over the coming days, if it is pushed to as it was lately.

Each day gets its share of pushes, then the policy is applied as the controller would apply it. Images to come carry the tags
that images of their kind carry now, and are as large as those on average. Tags that exist stay where they are, and nobody
pulls. Pure: the same repository, rates and moment give the same forecast.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from math import ceil, floor
from typing import Literal

import msgspec
from msgspec.structs import replace

from longshore.services.ecr.lifecycle.evaluate import evaluate
from longshore.services.ecr.lifecycle.policy import DAY_S, Policy, Rule
from longshore.services.ecr.lifecycle.stock import Stock
from longshore.services.ecr.manifests import OCI_MANIFEST
from longshore.services.ecr.model import Image

MOST_DAYS = 365
#: how far back pushes say how often there will be one
OBSERVED_DAYS = 30.0
#: images to come that are imagined at most; beyond, the forecast ends sooner
_MOST_TO_COME = 200_000
#: images judged in all; where that is not enough for every day, several days are taken together
_MOST_JUDGED = 2_000_000


class Push(msgspec.Struct, frozen=True, gc=False):
    """An image that was pushed, whether it is still there or not."""

    at: float
    tags: tuple[str, ...]
    size: int


class Rate(msgspec.Struct, frozen=True, gc=False):
    """Pushes of images that the same rules select."""

    #: of the last of them
    tags: tuple[str, ...]
    size: int
    per_day: float
    #: priorities of the rules that select them
    rules: tuple[int, ...]

    def pushed_until(self, day: int) -> int:
        return floor(self.per_day * day + 1e-9)


class Going(msgspec.Struct, frozen=True, gc=False):
    """The first thing that happens to an image that is there today."""

    day: int
    action: Literal["EXPIRE", "TRANSITION"]
    rule_priority: int


@dataclass(slots=True)
class Day:
    """What is done on a day (0 is today), and in bytes what the expired images of today's stock measure."""

    day: int
    expiring: int = 0
    expiring_future: int = 0
    transitioning: int = 0
    transitioning_future: int = 0
    size: int = 0


@dataclass(slots=True)
class Forecast:
    rates: tuple[Rate, ...]
    #: the last day looked at
    until: int
    #: days taken together
    step: int
    days: list[Day] = field(default_factory=list)
    #: digest -> what happens to it first
    going: dict[str, Going] = field(default_factory=dict)


def rates_of(pushes: Iterable[Push], policy: Policy, observed_days: float) -> tuple[Rate, ...]:
    """One for each set of rules that select what was pushed. Images that no rule selects have theirs, too."""
    kinds: dict[tuple[int, ...], list[Push]] = {}
    for push in sorted(pushes, key=lambda push: (push.at, push.tags)):
        kinds.setdefault(tuple(rule.priority for rule in policy.rules if _selects(rule, push.tags)), []).append(push)
    return tuple(
        Rate(found[-1].tags, sum(push.size for push in found) // len(found), len(found) / observed_days, rules)
        for rules, found in sorted(kinds.items())
    )


def _selects(rule: Rule, tags: tuple[str, ...]) -> bool:
    """Of images that were just pushed: they are not archived."""
    if rule.storage_class != "standard":
        return False
    if rule.tag_status == "tagged":
        return all(any(test.matches(tag) for tag in tags) for test in rule.tag_tests)
    return rule.tag_status == "any" or not tags


def forecast(
    stock: Stock, policy: Policy, now: float, days: int, rates: tuple[Rate, ...] = (), in_use: Collection[str] = frozenset()
) -> Forecast:
    """Over today and `days` more, or as many as there is room for. `in_use` are kept throughout."""
    per_day = sum(rate.per_day for rate in rates)
    days = min(days, int(_MOST_TO_COME / per_day)) if per_day else days
    coming = sum(rate.pushed_until(days) for rate in rates)
    step = max(1, ceil((len(stock.images) + coming / 2) * days / _MOST_JUDGED))
    found = Forecast(rates, days, step)
    there = stock.copy()
    for day in sorted({*range(0, days + 1, step), days}):
        last = found.days[-1].day if found.days else 0
        there.add(each for kind, rate in enumerate(rates) for each in _to_come(kind, rate, last, day, now))
        found.days.append(_pass(there, stock, policy, now, day, in_use, found.going))
    return found


def _to_come(kind: int, rate: Rate, after: int, until: int, now: float) -> Iterator[tuple[Image, tuple[str, ...]]]:
    """What is pushed between two days, evenly."""
    for number in range(rate.pushed_until(after), rate.pushed_until(until)):
        digest, at = f"to-come:{kind}:{number:09d}", now + min(until, (number + 1) / rate.per_day) * DAY_S
        yield Image(repository="", digest=digest, media_type=OCI_MANIFEST, manifest_size=0, size=rate.size, pushed_at=at), rate.tags


def _pass(there: Stock, today: Stock, policy: Policy, now: float, number: int, in_use: Collection[str], going: dict[str, Going]) -> Day:
    """Apply the policy on one day."""
    day, at = Day(number), now + number * DAY_S
    judgement = evaluate(there, policy, at, in_use)
    for first, rule in judgement.acts.items():
        for digest in (first, *judgement.companions.get(first, ())):
            exists = digest in today.images
            if exists:
                going.setdefault(digest, Going(number, rule.action, rule.priority))
            image = there.images[digest]
            if rule.action == "EXPIRE":
                there.remove(digest)
                day.expiring += exists
                day.expiring_future += not exists
                day.size += image.size if exists else 0
            else:
                there.images[digest] = replace(image, archived=True, last_archived_at=at)
                day.transitioning += exists
                day.transitioning_future += not exists
    return day
