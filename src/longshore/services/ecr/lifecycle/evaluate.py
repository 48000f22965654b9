"""Which images a policy acts on: the one evaluator behind previews, the controller that carries rules out, and forecasts.

Every rule sees the same, unmodified repository. The first rule (by priority) that selects an image owns it, whether it acts
on it or not: no later rule does, though later rules go on counting it. Images that stand in an index, and artifacts about an
image that is there, are no candidates: they are neither acted on nor counted. What is about an image goes with it.

Pure, and the same for the same repository in whatever order it is handed over. Made for a million images: selections by
what tags begin with look only at those tags, and nothing is built per image that is not asked for.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from operator import le
from typing import TypeVar

from longshore.services.ecr.lifecycle.policy import Policy, Rule, TagTest
from longshore.services.ecr.lifecycle.stock import Stock
from longshore.services.ecr.manifests import INDEXES
from longshore.services.ecr.model import Image

#: about so many images are sorted in one go: a longer sort would hold up every other thread
_RUN = 16_384
K = TypeVar("K", float, str)
#: beyond every character a tag is made of
_AFTER_TAGS = "\x7f"


@dataclass
class Judgement:
    """What is to happen to the images of one repository, and why. Digests throughout."""

    #: digest -> the rule that acts on it; oldest first
    acts: dict[str, Rule] = field(default_factory=dict)
    #: one that is acted on -> what goes with it, in the order it goes
    companions: dict[str, list[str]] = field(default_factory=dict)
    #: what goes with another -> that one; never among `acts`
    follows: dict[str, str] = field(default_factory=dict)
    #: images that a rule would act on, were they not in use
    spared: dict[str, Rule] = field(default_factory=dict)
    #: image in indexes -> those indexes
    part_of: dict[str, list[str]] = field(default_factory=dict)
    #: artifact -> the image it is about
    about: dict[str, str] = field(default_factory=dict)
    #: priority of a rule by count that acts -> the newest images, which it keeps
    newest: dict[int, list[str]] = field(default_factory=dict)
    #: candidates by storage class
    ranked: list[Ranked] = field(default_factory=list)

    def rule_for(self, digest: str) -> Rule | None:
        """The rule that acts on it, itself or by acting on what it goes with."""
        return self.acts.get(self.follows.get(digest, digest))

    def owner_of(self, digest: str) -> Rule | None:
        """The first rule that selects it."""
        return next((rule for ranked in self.ranked if (rule := ranked.owner_of(digest)) is not None), None)


def evaluate(stock: Stock, policy: Policy, now: float, in_use: Collection[str] = frozenset()) -> Judgement:
    """`in_use` are digests of images that nothing happens to, whatever a rule says; they are counted like others.

    An index is in use when an image in it is, and an image when something about it is.
    """
    judgement = Judgement()
    _guard(stock, judgement)
    for storage_class in ("standard", "archive"):
        rules = [rule for rule in policy.rules if rule.storage_class == storage_class]
        if rules:
            ranked = Ranked(stock, judgement, rules, archived=storage_class == "archive")
            ranked.apply(now)
            judgement.ranked.append(ranked)
            judgement.acts |= ranked.acts()
    if len(judgement.ranked) > 1:
        acts = judgement.acts
        judgement.acts = {digest: acts[digest] for digest in sorted(acts, key=lambda digest: (_base(stock.images[digest]), digest))}
    if in_use:
        kept = _with_holders(in_use, judgement)
        judgement.spared = {digest: rule for digest, rule in judgement.acts.items() if digest in kept}
        judgement.acts = {digest: rule for digest, rule in judgement.acts.items() if digest not in kept}
    if judgement.about or any(rule.action == "TRANSITION" for rule in policy.rules):
        _Following(stock, judgement).run()
    return judgement


def _guard(stock: Stock, judgement: Judgement) -> None:
    """Find the images that are no candidates."""
    images = stock.images
    for image in images.values():
        if image.subject and image.subject in images:
            judgement.about[image.digest] = image.subject
        if image.media_type in INDEXES:
            for reference in image.references:
                if reference.is_manifest and reference.digest in images:
                    judgement.part_of.setdefault(reference.digest, []).append(image.digest)
    for indexes in judgement.part_of.values():
        indexes.sort()


def _with_holders(in_use: Collection[str], judgement: Judgement) -> Collection[str]:
    found = set(in_use)
    waiting = list(in_use)
    while waiting:
        digest = waiting.pop()
        holders = [*judgement.part_of.get(digest, ()), *([judgement.about[digest]] if digest in judgement.about else ())]
        waiting += [holder for holder in holders if holder not in found]
        found.update(holders)
    return found


def _base(image: Image) -> float:
    """When an image's age begins: when it was pushed, or last came back from the archive."""
    return image.pushed_at if image.last_activated_at is None else image.last_activated_at


def _pulled(image: Image) -> float:
    if image.last_pulled_at is not None and (image.last_activated_at is None or image.last_pulled_at > image.last_activated_at):
        return image.last_pulled_at
    return _base(image)


class Ranked:
    """The candidates of one storage class, ranked from the oldest (0) to the newest; of one moment, by digest.

    Rules select and mark ranks. Ages grow with falling rank, so what is older than something is what ranks below it. Columns are
    filled in the order of the stock and then put in order: with a million images, jumping about in memory is what takes time.
    """

    def __init__(self, stock: Stock, judgement: Judgement, rules: Sequence[Rule], *, archived: bool) -> None:
        self._stock = stock
        self._rules = rules
        self._newest = judgement.newest
        guarded = judgement.part_of.keys() | judgement.about.keys()
        self._images = [image for image in stock.images.values() if image.archived is archived]
        if guarded:
            self._images = [image for image in self._images if image.digest not in guarded]
        digests = [image.digest for image in self._images]
        if not _is_sorted(digests):
            self._images.sort(key=_digest)
            digests.sort()
        since = [_base(image) for image in self._images]
        #: rank -> place among the images
        self._place = in_order(since)
        #: by rank
        self._since = [since[place] for place in self._place]
        self._digests = [digests[place] for place in self._place]
        #: by rank: 0, or the number (from 1) of the rule that selects it first, and of the one that acts on it
        self._owner = bytearray(len(digests))
        self._actor = bytearray(len(digests))

    @cached_property
    def _rank(self) -> dict[str, int]:
        return {digest: rank for rank, digest in enumerate(self._digests)}

    def owner_of(self, digest: str) -> Rule | None:
        rank = self._rank.get(digest)
        return None if rank is None or not self._owner[rank] else self._rules[self._owner[rank] - 1]

    def acts(self) -> dict[str, Rule]:
        """What rules act on, oldest first."""
        rules, digests = (None, *self._rules), self._digests
        return {digests[rank]: rule for rank, number in enumerate(self._actor) if (rule := rules[number]) is not None}

    def apply(self, now: float) -> None:
        owner, actor = self._owner, self._actor
        for number, rule in enumerate(self._rules, 1):
            selected = self._selected(rule)
            for rank in self._marked(rule, selected, now):
                if not owner[rank]:
                    actor[rank] = number
            for rank in selected:
                if not owner[rank]:
                    owner[rank] = number

    def _selected(self, rule: Rule) -> Sequence[int]:
        """In rising order."""
        if rule.tag_status == "any":
            return range(len(self._digests))
        if rule.tag_status == "untagged":
            tags = self._stock.tags
            bare = bytes(image.digest not in tags for image in self._images)
            return [rank for rank, place in enumerate(self._place) if bare[place]]
        found: set[int] | None = None
        for test in rule.tag_tests:
            matched = self._matched(test)
            found = matched if found is None else found & matched
        return sorted(found or ())

    def _matched(self, test: TagTest) -> set[int]:
        names, holders = self._stock.names, self._stock.holders
        places: Iterable[int] = range(bisect_left(names, test.head), bisect_left(names, test.head + _AFTER_TAGS))
        if not test.head_decides:
            matches = test.matcher()
            places = [place for place in places if matches(names[place])]
        rank = self._rank
        return {rank[holders[place]] for place in places if holders[place] in rank}

    def _marked(self, rule: Rule, selected: Sequence[int], now: float) -> Sequence[int]:
        limit = now - rule.age_s
        match rule.count_type:
            case "imageCountMoreThan":
                marked = selected[: -rule.count]
                if marked:
                    self._newest[rule.priority] = [self._digests[rank] for rank in selected[-rule.count :]]
                return marked
            case "sinceImagePushed":
                return selected[: bisect_left(selected, bisect_left(self._since, limit))]
            case "sinceImagePulled":
                return [rank for rank in selected if _pulled(self._image(rank)) < limit]
            case "sinceImageTransitioned":
                return [rank for rank in selected if (self._image(rank).last_archived_at or now) < limit]

    def _image(self, rank: int) -> Image:
        return self._images[self._place[rank]]


def _digest(image: Image) -> str:
    return image.digest


def _is_sorted(keys: list[K]) -> bool:
    parts = (keys[first : first + _RUN + 1] for first in range(0, len(keys), _RUN))
    return all(all(map(le, part, islice(part, 1, None))) for part in parts)


def in_order(keys: list[float], run: int = _RUN) -> list[int]:
    """Places in rising order of `keys`; equals stay in theirs. Spread over buckets of about `run` first, so that no sort takes long."""
    if _is_sorted(keys):
        return list(range(len(keys)))
    count = len(keys) // run + 1
    bounds = sorted(keys[:: max(1, len(keys) // (16 * count))])[16::16]
    buckets: list[list[int]] = [[] for _ in range(len(bounds) + 1)]
    for place, key in enumerate(keys):
        buckets[bisect_right(bounds, key)].append(place)
    places: list[int] = []
    for bucket in buckets:
        bucket.sort(key=keys.__getitem__)
        places += bucket
    return places


class _Following:
    """What goes with the images that are acted on, told in the order in which the controller will do it.

    Artifacts go with what they are about, unless an index that stays names them. An index takes the images into the archive
    that it alone consists of; where it expires, they stay behind, and are candidates the next time.
    """

    def __init__(self, stock: Stock, judgement: Judgement) -> None:
        self._stock = stock
        self._judgement = judgement
        self._expired: set[str] = set()
        self._archived: set[str] = set()
        self._artifacts: dict[str, list[str]] = {}
        for artifact, subject in judgement.about.items():
            self._artifacts.setdefault(subject, []).append(artifact)
        for artifacts in self._artifacts.values():
            artifacts.sort()

    def run(self) -> None:
        judgement = self._judgement
        for digest, rule in judgement.acts.items():
            if rule.action == "EXPIRE":
                self._expired.add(digest)
                found = self._expiring_with(digest) if digest in self._artifacts else []
            else:
                self._archived.add(digest)
                found = self._archived_with(digest)
            if found:
                judgement.companions[digest] = found
                judgement.follows.update(dict.fromkeys(found, digest))

    def _expiring_with(self, first: str) -> list[str]:
        found: list[str] = []
        waiting = [first]
        while waiting:
            for artifact in self._artifacts.get(waiting.pop(0), ()):
                if artifact not in self._expired and all(index in self._expired for index in self._judgement.part_of.get(artifact, ())):
                    self._expired.add(artifact)
                    found.append(artifact)
                    waiting.append(artifact)
        return found

    def _archived_with(self, first: str) -> list[str]:
        found: list[str] = []
        waiting = [first]
        while waiting:
            for digest in self._companions(self._stock.images[waiting.pop(0)]):
                if digest not in self._archived and digest not in self._expired and not self._stock.images[digest].archived:
                    self._archived.add(digest)
                    found.append(digest)
                    waiting.append(digest)
        return found

    def _companions(self, image: Image) -> Iterable[str]:
        images, tags = self._stock.images, self._stock.tags
        if image.media_type in INDEXES:
            for reference in image.references:
                child = reference.digest
                if reference.is_manifest and child in images and not tags.get(child) and not self._in_active_index(child):
                    yield child
        for artifact in self._artifacts.get(image.digest, ()):
            if not self._in_active_index(artifact):
                yield artifact

    def _in_active_index(self, digest: str) -> bool:
        return any(
            index not in self._expired and index not in self._archived and not self._stock.images[index].archived
            for index in self._judgement.part_of.get(digest, ())
        )
