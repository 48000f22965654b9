"""What follows from a judgement: the steps in which a policy is carried out, and the pages of a preview. The same images in both."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from longshore.services.ecr.lifecycle.evaluate import Judgement
from longshore.services.ecr.lifecycle.model import PREVIEW_PAGE, LifecyclePreview, PreviewedImage, PreviewPage
from longshore.services.ecr.lifecycle.policy import Rule
from longshore.services.ecr.lifecycle.stock import Stock
from longshore.services.ecr.model import Image

#: images acted on in one transaction
MOST = 100


class Act(msgspec.Struct, frozen=True, gc=False):
    """A rule acts on an image, as the two were judged."""

    rule: Rule
    image: Image
    tags: tuple[str, ...]


class Keeper(msgspec.Struct, frozen=True, gc=False):
    """One of the newest images that a rule by count keeps: for as long as these are there, what is older is too much."""

    image: Image
    #: None where the rule does not look at tags
    tags: tuple[str, ...] | None


class Step(msgspec.Struct, frozen=True):
    """What one transaction does. A rule acts only if all of its keepers are still as they were judged.

    A keeper may itself go, by another rule. That does no harm, since the oldest images go first: by then the rule that keeps it has
    done all it had to do.
    """

    acts: tuple[Act, ...]
    #: by the rule's priority
    keepers: dict[int, tuple[Keeper, ...]]


def steps(stock: Stock, judgement: Judgement, most: int = MOST) -> Iterator[Step]:
    """Oldest images first."""
    acts = [Act(rule, stock.images[digest], stock.tags_of(digest)) for digest, rule in judgement.acts.items()]
    keepers = _keepers(stock, judgement)
    for first in range(0, len(acts), most):
        some = tuple(acts[first : first + most])
        concerned = {act.rule.priority for act in some} & keepers.keys()
        yield Step(some, {priority: keepers[priority] for priority in concerned})


def _keepers(stock: Stock, judgement: Judgement) -> dict[int, tuple[Keeper, ...]]:
    rules = {rule.priority: rule for rule in judgement.acts.values()}
    return {
        priority: tuple(
            Keeper(stock.images[digest], None if rules[priority].tag_status == "any" else stock.tags_of(digest)) for digest in digests
        )
        for priority, digests in judgement.newest.items()
        if priority in rules
    }


def previewed(stock: Stock, judgement: Judgement) -> Iterator[PreviewedImage]:
    """Oldest first, each followed by what goes with it."""
    for first, rule in judgement.acts.items():
        for digest in (first, *judgement.companions.get(first, ())):
            image = stock.images[digest]
            yield PreviewedImage(digest, stock.tags_of(digest), image.pushed_at, rule.action, rule.priority, image.archived)


def pages(preview: LifecyclePreview, images: list[PreviewedImage]) -> Iterator[PreviewPage]:
    for number, first in enumerate(range(0, len(images), PREVIEW_PAGE)):
        yield PreviewPage(preview.repository, preview.id, number, tuple(images[first : first + PREVIEW_PAGE]))
