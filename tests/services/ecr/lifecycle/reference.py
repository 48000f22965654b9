"""The slow, obvious evaluator: rule by rule and image by image, as the rules are explained. The fast one must agree with it."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase

from longshore.services.ecr.lifecycle.policy import DAY_S, Policy, Rule
from longshore.services.ecr.lifecycle.stock import Stock
from longshore.services.ecr.model import Image


def is_part_of_an_index(stock: Stock, image: Image) -> bool:
    return any(r.is_manifest and r.digest == image.digest for other in stock.images.values() for r in other.references)


def is_guarded(stock: Stock, image: Image) -> bool:
    return is_part_of_an_index(stock, image) or image.subject in stock.images


def base(image: Image) -> float:
    return image.last_activated_at if image.last_activated_at is not None else image.pushed_at


def pull(image: Image) -> float:
    pulled, restored = image.last_pulled_at, image.last_activated_at
    if pulled and (restored is None or pulled > restored):
        return pulled
    return base(image)


def is_selected(stock: Stock, rule: Rule, image: Image) -> bool:
    tags = stock.tags_of(image.digest)
    if image.archived != (rule.storage_class == "archive"):
        return False
    if rule.tag_status == "any":
        return True
    if rule.tag_status == "untagged":
        return not tags
    return all(any(tag.startswith(test.text) if test.is_prefix else fnmatchcase(tag, test.text) for tag in tags) for test in rule.tag_tests)


def marked_by(rule: Rule, selected: list[Image], now: float) -> list[Image]:
    newest_first = sorted(selected, key=lambda image: (base(image), image.digest), reverse=True)
    limit = now - rule.count * DAY_S
    match rule.count_type:
        case "imageCountMoreThan":
            return newest_first[rule.count :]
        case "sinceImagePushed":
            return [image for image in selected if base(image) < limit]
        case "sinceImagePulled":
            return [image for image in selected if pull(image) < limit]
        case _:
            return [image for image in selected if image.last_archived_at is not None and image.last_archived_at < limit]


def reference(stock: Stock, policy: Policy, now: float, in_use: Collection[str] = ()) -> dict[str, int]:
    """digest -> priority of the rule that acts on it. `in_use` must name candidates only."""
    acts: dict[str, int] = {}
    owner: dict[str, int] = {}
    for rule in policy.rules:
        selected = [image for image in stock.images.values() if not is_guarded(stock, image) and is_selected(stock, rule, image)]
        for image in marked_by(rule, selected, now):
            if image.digest not in owner:
                acts[image.digest] = rule.priority
        for image in selected:
            owner.setdefault(image.digest, rule.priority)
    return {digest: priority for digest, priority in acts.items() if digest not in in_use}
