"""Repositories and policies out of hypothesis: small ones, in which everything that can meet does."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from longshore.services.ecr.lifecycle.policy import Policy, PolicyInvalid, parse_policy
from longshore.services.ecr.lifecycle.stock import Stock
from longshore.services.ecr.model import Image
from tests.services.ecr.lifecycle.policies import days_ago, image, rule, stock, text

_DIGESTS = [f"sha256:{letter * 64}" for letter in "0123456789ab"]
_TAGS = ["a1", "a2", "a3", "ab1", "b1", "b2", "c", "latest", "v1.0.0", "v1.1.0"]
_PATTERNS = ["a*", "*1", "*", "latest", "v*.*", "a*1", "ab*"]
_ages = st.integers(0, 12) | st.integers(0, 400)


@st.composite
def repositories(draw: st.DrawFn, *, plain: bool = False) -> Stock:
    """`plain` ones have no indexes and no artifacts, and nothing is archived."""
    digests = draw(st.lists(st.sampled_from(_DIGESTS), unique=True, max_size=10))
    images = [_image(draw, digest, digests[:place], plain=plain) for place, digest in enumerate(digests)]
    tags: dict[str, tuple[str, ...]] = {}
    if digests:
        for tag in draw(st.lists(st.sampled_from(_TAGS), unique=True)):
            holder = draw(st.sampled_from(digests))
            tags[holder] = (*tags.get(holder, ()), tag)
    return stock(*images, tags=tags)


def _image(draw: st.DrawFn, digest: str, earlier: list[str], *, plain: bool) -> Image:
    """Parts and subjects were pushed before, as they must be: nothing refers to itself."""
    if plain:
        return image(digest, draw(_ages), last_pulled_at=days_ago(draw(st.none() | _ages)))
    archived = draw(st.sampled_from([False, False, False, True]))
    activated = draw(st.sampled_from([None, None, None, 3, 20, 100]))
    parts = draw(st.sampled_from([(), (), tuple(earlier[-2:]), tuple(earlier[:1])]))
    subject = draw(st.sampled_from(["", "", "", *earlier, "sha256:absent"]))
    return image(
        digest,
        draw(_ages),
        parts=parts,
        subject=subject,
        last_pulled_at=days_ago(draw(st.none() | _ages)),
        archived=archived,
        last_archived_at=days_ago(draw(_ages)) if archived else None,
        last_activated_at=days_ago(activated),
    )


@st.composite
def policies(draw: st.DrawFn, *, expire_only: bool = False) -> Policy:
    """Any policy that is accepted."""
    rules: list[dict[str, Any]] = []
    for priority in range(1, draw(st.integers(2, 6))):
        rules.append(_rule(draw, priority, expire_only=expire_only))
        if not _is_accepted(rules):
            rules.pop()
    return parse_policy(text(*(rules or [_rule(draw, 1, expire_only=True)])), allow_expire_since_pulled=True)


def _is_accepted(rules: list[dict[str, Any]]) -> bool:
    try:
        parse_policy(text(*rules), allow_expire_since_pulled=True)
    except PolicyInvalid:
        return False
    return True


def _rule(draw: st.DrawFn, priority: int, *, expire_only: bool) -> dict[str, Any]:
    tag_status = draw(st.sampled_from(["tagged", "tagged", "untagged", "any"]))
    selection: dict[str, Any] = {"tagStatus": tag_status}
    if tag_status == "tagged":
        which = draw(st.sampled_from(["tagPatternList", "tagPrefixList"]))
        values = _PATTERNS if which == "tagPatternList" else ["a", "ab", "v1", "latest", "b"]
        selection[which] = draw(st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True))
    kinds = ["imageCountMoreThan", "sinceImagePushed", "sinceImagePulled"]
    count_type = draw(st.sampled_from(kinds if expire_only else [*kinds, "sinceImageTransitioned"]))
    if count_type == "sinceImageTransitioned":
        return rule(priority, countType=count_type, storageClass="archive", countNumber=draw(st.integers(90, 200)), **selection)
    action = "expire" if expire_only else draw(st.sampled_from(["expire", "expire", "transition"]))
    return rule(priority, countType=count_type, countNumber=draw(st.integers(1, 8)), action=action, **selection)
