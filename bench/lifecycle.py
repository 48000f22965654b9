"""Lifecycle policies over very large repositories: judged, forecast, and what else goes on in the process meanwhile.

The peer is the slow, obvious evaluator that the tests hold ours against; it looks at every image for every image, so the two
meet over a small repository.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import time
from collections.abc import Callable, Iterator

from bench.report import Figure, Target, p50
from longshore.services.call import Site
from longshore.services.ecr.kinds import KINDS
from longshore.services.ecr.lifecycle.evaluate import evaluate
from longshore.services.ecr.lifecycle.forecast import Rate, forecast
from longshore.services.ecr.lifecycle.keeping import judge
from longshore.services.ecr.lifecycle.policy import DAY_S, Policy, parse_policy
from longshore.services.ecr.lifecycle.stock import Stock
from longshore.services.ecr.manifests import OCI_MANIFEST
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, REPOSITORIES, Image, ImageTag, Reference, Repository
from longshore.services.ecs import kinds as ecs_kinds
from longshore.store.base import Tx
from longshore.store.memory import memory_store
from tests.services.ecr.lifecycle.reference import reference

NOW = 1_700_000_000.0
KEY = "us-east-1:000000000000:app"
LARGE, WATCHED, LOOKED_AHEAD, SMALL = 1_000_000, 200_000, 10_000, 2_000
_LAYERS = tuple(Reference(f"sha256:{number:064x}", 1000) for number in range(8))


def policy() -> Policy:
    """Four rules of every kind that a large repository has."""

    def rule(priority: int, **selection: object) -> dict[str, object]:
        unit = {"countUnit": "days"} if str(selection["countType"]).startswith("since") else {}
        return {"rulePriority": priority, "selection": {**selection, **unit}, "action": {"type": "expire"}}

    rules = (
        rule(1, tagStatus="untagged", countType="sinceImagePushed", countNumber=7),
        rule(2, tagStatus="tagged", tagPrefixList=["prod"], countType="imageCountMoreThan", countNumber=1000),
        rule(3, tagStatus="tagged", tagPatternList=["*-1*"], countType="imageCountMoreThan", countNumber=1000),
        rule(4, tagStatus="any", countType="imageCountMoreThan", countNumber=5000),
    )
    return parse_policy(json.dumps({"rules": rules}))


def stock(count: int) -> Stock:
    """As it comes out of the store: in order of digests. One image in ten has no tag; pushed over 120 days in no order."""
    chance = random.Random(count)
    digests = sorted(f"sha256:{chance.getrandbits(256):064x}" for _ in range(count))
    images = [
        Image(
            repository=KEY,
            digest=digest,
            media_type=OCI_MANIFEST,
            manifest_size=1000,
            size=8000,
            pushed_at=NOW - chance.random() * 120 * DAY_S,
            references=_LAYERS,
        )
        for digest in digests
    ]
    kinds = ("prod", "dev", "feature", "v")
    return Stock.of(images, {digest: (f"{chance.choice(kinds)}-{place}",) for place, digest in enumerate(digests) if place % 10})


def _seconds(run: Callable[[], object], rounds: int) -> float:
    spent = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        spent.append(time.perf_counter() - began)
    return p50(spent)


def measure(rounds: int) -> Iterator[Figure]:
    rules = policy()
    small = stock(SMALL)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(_seconds(lambda: evaluate(small, rules, NOW), 5))
        theirs.append(_seconds(lambda: reference(small, rules, NOW), 1))
    yield Figure(
        f"lifecycle: {SMALL:,} images judged", "ms", 1000 * p50(ours), 1000 * p50(theirs), "the obvious evaluator", Target("ratio <=", 0.05)
    )
    some = stock(LOOKED_AHEAD)
    rates = (Rate(("dev-1",), 1000, 40.0, ()), Rate((), 1000, 10.0, ()))
    yield Figure(
        f"lifecycle: {LOOKED_AHEAD:,} images, 90 days ahead",
        "s",
        _seconds(lambda: forecast(some, rules, NOW, 90, rates), rounds),
        target=Target("<=", 10),
    )
    yield Figure(
        f"lifecycle: longest stall, {WATCHED:,} images",
        "ms",
        1000 * asyncio.run(_longest_stall_s(stock(WATCHED), rules)),
        target=Target("<=", 100),
    )
    large = stock(LARGE)
    gc.collect()
    gc.freeze()  # as the server does with what it has read at its start
    yield Figure(f"lifecycle: {LARGE:,} images judged", "s", _seconds(lambda: evaluate(large, rules, NOW), rounds), target=Target("<=", 5))
    gc.unfreeze()


async def _longest_stall_s(there: Stock, rules: Policy) -> float:
    """The longest that the loop was kept from its other work while a repository was read out of the store and judged."""
    store = memory_store((*KINDS, *ecs_kinds.KINDS))
    repository = Repository(arn="arn", region="us-east-1", account_id="000000000000", name="app", created_at=0.0)

    def put(tx: Tx, digests: list[str]) -> None:
        tx.put(REPOSITORIES, repository)
        for digest in digests:
            tx.put(IMAGES, there.images[digest])
            for tag in there.tags_of(digest):
                tx.put(IMAGE_TAGS, ImageTag(KEY, tag, digest, NOW))

    digests = list(there.images)
    for first in range(0, len(digests), 5_000):
        await store.transact(lambda tx, some=digests[first : first + 5_000]: put(tx, some))  # type: ignore[misc]
    for kind in (IMAGES, IMAGE_TAGS):  # the first look after so many writes at once puts their keys in order
        store.list(kind, "repository", KEY, limit=1)
    stalls: list[float] = []

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            stalls.append(time.perf_counter() - began - 0.001)

    ticking = asyncio.create_task(tick())
    site = Site("000000000000", "us-east-1", ("us-east-1a",), "http://127.0.0.1:4566", 4566)
    await judge(store, repository, rules, NOW, site, keep_in_use=False)
    ticking.cancel()
    await store.close()
    return max(stalls)
