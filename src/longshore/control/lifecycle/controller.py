"""Lifecycle policies at work: each is applied on a schedule and soon after it or its repository changed; previews are made.

A run reads the repository in slices, judges it beside the loop, and carries the judgement out in transactions of bounded size
that look again at everything they act on. What such a transaction finds changed is left alone and judged anew a moment later.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from longshore.control.lifecycle.execution import Done, Seen, carry_out
from longshore.control.lifecycle.plan import Step, pages, previewed, steps
from longshore.control.loop import Watched
from longshore.kit.clock import Clock
from longshore.services.call import Site
from longshore.services.ecr.lifecycle.keeping import Judged, beside, judge
from longshore.services.ecr.lifecycle.model import (
    LIFECYCLE_POLICIES,
    LIFECYCLE_PREVIEWS,
    LIFECYCLE_SETTINGS,
    PREVIEW_PAGES,
    LifecyclePolicy,
    LifecyclePreview,
    LifecycleSettings,
    PreviewPage,
    preview_page_key,
)
from longshore.services.ecr.lifecycle.policy import Policy, PolicyInvalid, parse_policy
from longshore.services.ecr.lifecycle.usage import settings_of, users_of_images
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, REPOSITORIES, Repository
from longshore.store.base import Change, Store, Tx

log = logging.getLogger("longshore.control.lifecycle")

#: a policy is applied at least so often; AWS promises a day
EVERY_S = 3600.0
#: and so long after the first change that nothing has been done about; a push is several changes
SETTLE_S = 5.0
#: a repository that takes long to judge is not judged again before so many times as long
REST = 20.0
#: how long a preview can be looked at
PREVIEW_KEPT_S = 86_400.0
#: pages of a preview written in one transaction
_PAGES = 4

_POLICY, _PREVIEW = "policy|", "preview|"


class _Overtaken(Exception):
    """The policy or the preview at hand is not the one to work on any more."""


class _Run(msgspec.Struct, frozen=True):
    """One application of a policy, and what it goes by."""

    repository: Repository
    policy: LifecyclePolicy
    settings: LifecycleSettings
    judged: Judged
    now: float


class Lifecycle:
    """Keys are `policy|REPOSITORY` and `preview|REPOSITORY`, so that a preview does not wait for a long run."""

    name = "lifecycle"

    def __init__(self, store: Store, clock: Clock, site: Site) -> None:
        self._store = store
        self._clock = clock
        self._site = site
        #: repository -> when its policy is to be applied next; none: now
        self._due: dict[str, float] = {}
        #: repository -> seconds that judging it took
        self._took: dict[str, float] = {}

    @property
    def watches(self) -> Sequence[Watched]:
        return (
            Watched(LIFECYCLE_POLICIES, self._policy_changed),
            Watched(LIFECYCLE_SETTINGS, lambda change: self._changed(change.value.repository)),
            Watched(IMAGES, self._image_changed),
            Watched(IMAGE_TAGS, lambda change: self._changed(change.value.repository)),
            Watched(LIFECYCLE_PREVIEWS, lambda change: (f"{_PREVIEW}{change.key}",)),
        )

    def keys(self) -> Iterable[str]:
        yield from (f"{_POLICY}{policy.repository}" for policy in self._store.list(LIFECYCLE_POLICIES))
        yield from (f"{_PREVIEW}{preview.repository}" for preview in self._store.list(LIFECYCLE_PREVIEWS, "alive", "alive"))

    def _policy_changed(self, change: Change[LifecyclePolicy]) -> Iterable[str]:
        if change.old is not None and change.new is not None and _is_same(change.old, change.new):
            return ()  # our own note of when it was applied
        return self._changed(change.key)

    def _image_changed(self, change: Change[Any]) -> Iterable[str]:
        old, new = change.old, change.new
        if old is not None and new is not None and replace(old, last_pulled_at=new.last_pulled_at) == new:
            return ()  # a pull makes nothing due
        return self._changed(change.value.repository)

    def _changed(self, repository: str) -> Iterable[str]:
        if self._store.get(LIFECYCLE_POLICIES, repository) is None:
            return ()
        soon = self._clock.now() + max(SETTLE_S, REST * self._took.get(repository, 0.0))
        self._due[repository] = min(self._due.get(repository, soon), soon)
        return (f"{_POLICY}{repository}",)

    async def reconcile(self, key: str) -> float | None:
        repository = self._store.get(REPOSITORIES, key.partition("|")[2])
        if repository is None:
            self._forget(key.partition("|")[2])
            return None
        if key.startswith(_PREVIEW):
            return await self._look_at_preview(repository)
        policy = self._store.get(LIFECYCLE_POLICIES, repository.key)
        if policy is None:
            self._forget(repository.key)
            return None
        now = self._clock.now()
        if self._due.get(repository.key, now) <= now:
            self._due.pop(repository.key, None)  # what changes from here on makes it due again, and so does a failure
            all_done = await self._apply(repository, policy)
            self._due.setdefault(repository.key, self._clock.now() + (EVERY_S if all_done else SETTLE_S))
        return max(0.0, self._due[repository.key] - self._clock.now())

    def _forget(self, repository: str) -> None:
        self._due.pop(repository, None)
        self._took.pop(repository, None)

    # ── policies ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _apply(self, repository: Repository, held: LifecyclePolicy) -> bool:
        """Whether all was done that was to be done at this time."""
        settings = settings_of(self._store, repository.key)
        policy = _rules(held.text, settings)
        if policy is None:
            log.warning("lifecycle %s: not applied: its policy needs a setting that is off", repository.arn)
            return True
        now = self._clock.now()
        judged = await judge(self._store, repository, policy, now, self._site, keep_in_use=settings.keep_images_in_use)
        self._took[repository.key] = self._clock.now() - now
        done = Done()
        seen: Seen = {} if judged.contents is None else dict.fromkeys(judged.judgement.newest, judged.contents)
        run = _Run(repository, held, settings, judged, now)
        try:
            for step in steps(judged.stock, judged.judgement):
                more, seen = await self._store.transact(lambda tx, step=step, seen=seen: self._step(tx, run, step, seen))  # type: ignore[misc]
                done += more
        except _Overtaken:
            self._tell(repository, done, "stopped: the policy, its settings or what is in use changed")
            return False
        await self._store.transact(lambda tx: _note(tx, held, now))
        self._tell(repository, done, "done")
        return not done.stale

    def _step(self, tx: Tx, run: _Run, step: Step, seen: Seen) -> tuple[Done, Seen]:
        current = tx.get(LIFECYCLE_POLICIES, run.repository.key)
        if current is None or not _is_same(current, run.policy) or settings_of(tx, run.repository.key) != run.settings:
            raise _Overtaken
        if run.settings.keep_images_in_use and not users_of_images(tx, run.repository, self._site).keys() <= run.judged.users.keys():
            raise _Overtaken
        return carry_out(tx, step, run.now, seen)

    def _tell(self, repository: Repository, done: Done, end: str) -> None:
        if done.expired or done.archived or done.stale:
            log.info(
                "lifecycle %s: expired %d, archived %d, left %d to look at again: %s",
                repository.arn,
                done.expired,
                done.archived,
                done.stale,
                end,
            )

    # ── previews ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _look_at_preview(self, repository: Repository) -> float | None:
        preview = self._store.get(LIFECYCLE_PREVIEWS, repository.key)
        if preview is None or preview.status not in ("IN_PROGRESS", "COMPLETE"):
            return None
        if preview.status == "IN_PROGRESS":
            await self._make(repository, preview)
            return None  # the change of its status brings it here again
        left = PREVIEW_KEPT_S - (self._clock.now() - (preview.ended_at or 0.0))
        if left > 0:
            return left
        await self._store.transact(lambda tx: _expire_preview(tx, preview))
        return None

    async def _make(self, repository: Repository, preview: LifecyclePreview) -> None:
        settings = settings_of(self._store, repository.key)
        policy = _rules(preview.text, settings)
        now = self._clock.now()
        if policy is None:
            await self._store.transact(lambda tx: _end_preview(tx, replace(preview, status="FAILED", ended_at=now), 0))
            return
        judged = await judge(self._store, repository, policy, now, self._site, keep_in_use=settings.keep_images_in_use)
        images = await beside(len(judged.stock.images), lambda: list(previewed(judged.stock, judged.judgement)))
        written = list(pages(preview, images))
        expiring = sum(1 for image in images if image.action == "EXPIRE")
        complete = replace(preview, status="COMPLETE", ended_at=now, expiring=expiring, transitioning=len(images) - expiring)
        try:
            for first in range(0, len(written), _PAGES):
                await self._store.transact(lambda tx, some=written[first : first + _PAGES]: _put_pages(tx, preview, some))  # type: ignore[misc]
            await self._store.transact(lambda tx: _end_preview(tx, complete, len(written)))
        except _Overtaken:
            log.info("lifecycle %s: the preview %s is not wanted any more", repository.arn, preview.id)


def _rules(text: str, settings: LifecycleSettings) -> Policy | None:
    """None when the settings do not allow it any more."""
    try:
        return parse_policy(text, allow_expire_since_pulled=settings.allow_expire_since_pulled)
    except PolicyInvalid:
        return None


def _is_same(one: LifecyclePolicy, other: LifecyclePolicy) -> bool:
    """But for when it was last applied."""
    return (one.put_at, one.text) == (other.put_at, other.text)


def _note(tx: Tx, held: LifecyclePolicy, now: float) -> None:
    current = tx.get(LIFECYCLE_POLICIES, held.repository)
    if current is not None and _is_same(current, held):
        tx.put(LIFECYCLE_POLICIES, replace(current, last_evaluated_at=now))


def _put_pages(tx: Tx, preview: LifecyclePreview, some: Iterable[PreviewPage]) -> None:
    if tx.get(LIFECYCLE_PREVIEWS, preview.repository) != preview:
        raise _Overtaken
    for page in some:
        tx.put(PREVIEW_PAGES, page)


def _end_preview(tx: Tx, ended: LifecyclePreview, count: int) -> None:
    """`count` pages are its own; what an interrupted attempt may have left beyond them goes."""
    current = tx.get(LIFECYCLE_PREVIEWS, ended.repository)
    if current is None or current.id != ended.id or current.status != "IN_PROGRESS":
        raise _Overtaken
    beyond = preview_page_key(ended.repository, ended.id, count - 1) if count else None
    for page in tx.list(PREVIEW_PAGES, "preview", f"{ended.repository}:{ended.id}", after=beyond):
        tx.delete(PREVIEW_PAGES, PREVIEW_PAGES.key(page))
    tx.put(LIFECYCLE_PREVIEWS, ended)


def _expire_preview(tx: Tx, preview: LifecyclePreview) -> None:
    if tx.get(LIFECYCLE_PREVIEWS, preview.repository) != preview:
        return
    for page in tx.list(PREVIEW_PAGES, "preview", f"{preview.repository}:{preview.id}"):
        tx.delete(PREVIEW_PAGES, PREVIEW_PAGES.key(page))
    tx.put(LIFECYCLE_PREVIEWS, replace(preview, status="EXPIRED"))
