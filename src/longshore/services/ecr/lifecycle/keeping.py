"""Policies in transactions: how one is put, and how what it would do is judged."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from longshore.services.call import Site
from longshore.services.ecr.errors import InvalidParameterException
from longshore.services.ecr.lifecycle.evaluate import Judgement, evaluate
from longshore.services.ecr.lifecycle.forecast import OBSERVED_DAYS, Push
from longshore.services.ecr.lifecycle.model import LIFECYCLE_POLICIES, LifecyclePolicy
from longshore.services.ecr.lifecycle.policy import DAY_S, Policy, PolicyInvalid, parse_policy
from longshore.services.ecr.lifecycle.stock import Stock
from longshore.services.ecr.lifecycle.usage import User, settings_of, users_of_images
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, REGISTRY_EVENTS, Repository, image_key, tag_key
from longshore.store.base import Reader, Tx

R = TypeVar("R")

#: images or tags read in one turn
SLICE = 5_000
#: times that a repository is read again because it changed meanwhile
_AGAIN = 2
#: more images than this are not judged in the loop
_AT_ONCE = 2_000


def checked_policy(reader: Reader, repository: str, text: str) -> Policy:
    """The rules in `text`, as the repository's settings allow them. Raises InvalidParameterException."""
    try:
        return parse_policy(text, allow_expire_since_pulled=settings_of(reader, repository).allow_expire_since_pulled)
    except PolicyInvalid as error:
        raise InvalidParameterException(
            f"Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: {error}'"
        ) from None


def put_policy(tx: Tx, repository: Repository, text: str, now: float) -> LifecyclePolicy:
    """In place of the one there was. Raises InvalidParameterException."""
    checked_policy(tx, repository.key, text)
    held = tx.get(LIFECYCLE_POLICIES, repository.key)
    # The same policy again has been applied as far as the one before.
    last = held.last_evaluated_at if held is not None and held.text == text else None
    return tx.put(LIFECYCLE_POLICIES, LifecyclePolicy(repository.key, text, now, last))


#: tells a repository's images and tags from others that it might have
Contents = tuple[int, int]


def contents_of(reader: Reader, repository: str) -> Contents:
    return reader.total(IMAGES, "contents", repository)[0], reader.total(IMAGE_TAGS, "contents", repository)[0]


@dataclass(frozen=True, slots=True)
class Judged:
    """A repository as it was looked at, and what a policy makes of it."""

    stock: Stock
    #: of which the stock is all; None where it changed while it was read
    contents: Contents | None
    judgement: Judgement
    #: digest -> who uses it, kept for that or not
    users: dict[str, tuple[User, ...]]

    def users_of(self, digest: str) -> tuple[User, ...]:
        """Who uses an image or, where it is an index, the images in it."""
        parts = (reference.digest for reference in self.stock.images[digest].references if reference.is_manifest)
        found = [user for each in (digest, *parts) for user in self.users.get(each, ())]
        return tuple(dict.fromkeys(found))


#: threads of its own, and few: whoever judges large repositories all the time keeps nobody else waiting for a thread
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="lifecycle")


async def beside(images: int, work: Callable[[], R]) -> R:
    """Do what takes time for each of so many images: at once where they are few, else beside the loop."""
    if images <= _AT_ONCE:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_threads, work)


class Turns:
    """One at a time for each name: whoever asks for much waits for themselves, and nobody else for them."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        lock = self._locks.setdefault(name, asyncio.Lock())
        self._waiting[name] += 1
        try:
            async with lock:
                yield
        finally:
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name], self._locks[name]


async def judge(reader: Reader, repository: Repository, policy: Policy, now: float, site: Site, *, keep_in_use: bool) -> Judged:
    """A large repository is judged beside the loop, and may have changed when this returns."""
    for _ in range(1 + _AGAIN):
        contents = contents_of(reader, repository.key)
        stock = await take_stock(reader, repository.key)
        exact = contents == contents_of(reader, repository.key)
        if exact:
            break
    users = users_of_images(reader, repository, site)
    in_use = users.keys() if keep_in_use else frozenset[str]()
    judgement = await beside(len(stock.images), partial(evaluate, stock, policy, now, in_use))
    return Judged(stock, contents if exact else None, judgement, users)


async def take_stock(reader: Reader, repository: str) -> Stock:
    """Read a slice at a time, with others having their turn in between: whoever acts on it looks again in the transaction that acts."""
    stock = Stock()
    after: str | None = None
    while True:
        images = reader.list(IMAGES, "repository", repository, after=after, limit=SLICE)
        for image in images:
            stock.images[image.digest] = image
        if len(images) < SLICE:
            break
        after = image_key(repository, images[-1].digest)
        await asyncio.sleep(0)
    after = None
    while True:
        tags = reader.list(IMAGE_TAGS, "repository", repository, after=after, limit=SLICE)
        for tag in tags:
            stock.add_tag(tag.tag, tag.digest)
        if len(tags) < SLICE:
            return stock
        after = tag_key(repository, tags[-1].tag)
        await asyncio.sleep(0)


def pushes_lately(reader: Reader, repository: Repository, judged: Judged, now: float) -> tuple[list[Push], float]:
    """What was pushed in the days observed, and how many days those are: not more than the repository is old, but one at least.

    Images that are there count unless they are parts of an index or about another image, which come with theirs. Of those that
    are gone the stream of events still tells; there, pushes without a tag are left out, since parts of indexes look like that.
    """
    since = max(now - OBSERVED_DAYS * DAY_S, repository.created_at)  # one of the same name may have been there before
    images, guarded = judged.stock.images, (judged.judgement.part_of, judged.judgement.about)
    pushes = [
        Push(image.pushed_at, judged.stock.tags_of(digest), image.size)
        for digest, image in images.items()
        if image.pushed_at >= since and not any(digest in guard for guard in guarded)
    ]
    size = sum(push.size for push in pushes) // len(pushes) if pushes else 0
    scope = f"{repository.region}:{repository.account_id}"
    gone: dict[str, Push] = {}
    for event in reader.list(REGISTRY_EVENTS, "scope", scope, after=f"{scope}:{since:017.6f}"):
        digest, tag = str(event.detail.get("image-digest", "")), str(event.detail.get("image-tag", ""))
        if event.detail.get("action-type") == "PUSH" and repository.arn in event.resources and tag and digest not in images:
            before = gone.get(digest)
            gone[digest] = Push(event.at, (*before.tags, tag) if before else (tag,), size)
    return [*pushes, *gone.values()], min(OBSERVED_DAYS, max(1.0, (now - repository.created_at) / DAY_S))
