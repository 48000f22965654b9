"""The pull-through cache: what is asked for and not here, or not looked after for a while, is asked of the upstream.

A digest stands for the same bytes for ever, so an image asked for by digest is fetched once. A tag is compared with the upstream at
most once per period, and whatever the upstream's trouble, what is here is served. Whoever asks for the same at the same time waits for
the same answer. Images are recorded when their manifests arrive; layers follow when somebody pulls them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from functools import partial
from pathlib import Path

from longshore.aws.errors import AwsError
from longshore.kit.clock import Clock
from longshore.kit.sealing import Keys
from longshore.services.ecr.content import check_place, content_of
from longshore.services.ecr.errors import ImageTagAlreadyExistsException
from longshore.services.ecr.events import record
from longshore.services.ecr.images import Push, record_blob, record_push
from longshore.services.ecr.manifests import MEDIA_TYPES, Manifest, ManifestInvalid, parse_manifest
from longshore.services.ecr.model import (
    IMAGE_TAGS,
    IMAGES,
    REPOSITORIES,
    REPOSITORY_BLOBS,
    image_key,
    tag_key,
)
from longshore.services.ecr.names import RepositoryId, is_digest
from longshore.services.ecr.pull_through.credentials import credentials_of
from longshore.services.ecr.pull_through.downloads import Download, Downloads
from longshore.services.ecr.pull_through.model import CACHED_TAGS, CachedTag, PullThroughRule
from longshore.services.ecr.pull_through.rules import rule_for, upstream_name
from longshore.services.ecr.remote.addresses import AddressRefused, place_of
from longshore.services.ecr.remote.client import RemoteClient, RemoteManifest
from longshore.services.ecr.remote.connection import Remotes
from longshore.services.ecr.remote.errors import RemoteBusy, RemoteDenied, RemoteError, RemoteInvalid, RemoteNotFound
from longshore.services.ecr.replication.model import RemoteRegistry
from longshore.services.ecr.replication.remotes import client_of as remote_client
from longshore.services.ecr.templates.creation import ensure_repository
from longshore.store.base import Store, Tx
from longshore.store.blobs import BlobStore

log = logging.getLogger("longshore.pull_through")

#: as often as ECR looks, at most
REFRESH_S = 24 * 3600.0
#: what an upstream could not give is not asked for again so soon
FORGIVEN_AFTER_S = 15.0
_MOST_FAILURES = 10_000

#: (action) -> why the puller may not, None when it may
Refusal = Callable[[str], str | None]


class NotPermitted(Exception):
    """Whoever pulls may not bring images here; the message is IAM's."""


class State(Enum):
    #: no rule speaks for it, or what is here is all there is to say
    AS_IT_IS = "as it is"
    #: it could not be compared with the upstream, which is in trouble
    STALE = "stale"


def failure_code(error: RemoteError) -> str:
    """As BatchGetImage reports it."""
    match error:
        case RemoteNotFound():
            return "ImageNotFound"
        case RemoteDenied():
            return "UpstreamAccessDenied"
        case RemoteBusy():
            return "UpstreamTooManyRequests"
    return "UpstreamUnavailable"


class PullThroughCache:
    def __init__(
        self,
        *,
        store: Store,
        blobs: BlobStore,
        clock: Clock,
        remotes: Remotes,
        secret: Keys,
        refresh_s: float = REFRESH_S,
        spool: Path | None = None,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._remotes = remotes
        self._secret = secret
        self._refresh_s = refresh_s
        self._downloads = Downloads(spool)
        self._fetching: dict[str, asyncio.Task[None]] = {}
        #: what failed lately -> until when it is not tried again, and why
        self._failed: OrderedDict[str, tuple[float, RemoteError]] = OrderedDict()

    async def close(self) -> None:
        for task in self._fetching.values():
            task.cancel()
        await asyncio.gather(*self._fetching.values(), return_exceptions=True)
        await self._downloads.close()

    def concerns(self, meant: RepositoryId) -> bool:
        """Whether a rule speaks for the repository: for all others nothing here need be asked."""
        return rule_for(self._store, meant) is not None

    def asked_for_this(self, via: str) -> bool:
        """Whether a request with this Via header began here: its upstream is this server again, by itself or by way of others."""
        return any(each.split()[-1:] == [self._remotes.name] for each in via.split(","))

    # -- manifests -------------------------------------------------------------------------------------------------------------

    async def ensure_manifest(self, meant: RepositoryId, reference: str, refusal: Refusal) -> State:
        """Have the image `reference` (a tag or a digest) here, as the upstream has it.

        Raises NotPermitted, RemoteError where there is nothing to serve instead, and AwsError.
        """
        rule = rule_for(self._store, meant)
        if rule is None or not self._is_due(meant, reference):
            return State.AS_IT_IS
        here = self._is_here(meant, reference)
        why_not = refusal("BatchImportUpstreamImage")
        if why_not is None and self._store.get(REPOSITORIES, meant.key) is None:
            why_not = refusal("CreateRepository")
        if why_not is not None:
            if here:
                return State.AS_IT_IS
            raise NotPermitted(why_not)
        try:
            await self._once(rule, meant, reference)
        except RemoteError:
            if not here:
                raise
            return State.STALE
        return State.AS_IT_IS

    def _is_here(self, meant: RepositoryId, reference: str) -> bool:
        if is_digest(reference):
            return self._store.get(IMAGES, image_key(meant.key, reference)) is not None
        return self._store.get(IMAGE_TAGS, tag_key(meant.key, reference)) is not None

    def _is_due(self, meant: RepositoryId, reference: str) -> bool:
        if is_digest(reference):
            return not self._is_here(meant, reference)
        held = self._store.get(IMAGE_TAGS, tag_key(meant.key, reference))
        if held is None:
            return True
        cached = self._store.get(CACHED_TAGS, tag_key(meant.key, reference))
        # What somebody pushed here stays what it is. A clock that was set back is no reason to look for years at what was once there.
        return cached is not None and cached.digest == held.digest and not 0 <= self._clock.now() - cached.checked_at < self._refresh_s

    async def _once(self, rule: PullThroughRule, meant: RepositoryId, reference: str) -> None:
        """Fetch, or wait for whoever fetches the same. Raises RemoteError and AwsError."""
        key = f"{meant.key} {reference} {rule.upstream_url} {rule.updated_at}"
        failed = self._failed.get(key)
        if failed is not None and 0 < failed[0] - self._clock.now() <= FORGIVEN_AFTER_S:
            # Without the way that it has come: it is the same exception each time, and would grow with everybody who gets it.
            raise failed[1].with_traceback(None)
        task = self._fetching.get(key)
        if task is None:
            task = self._fetching[key] = asyncio.create_task(self._fetch(rule, meant, reference), name=f"upstream:{key}")
            task.add_done_callback(partial(self._fetched, key))
        try:
            await asyncio.shield(task)
        except RemoteError as error:
            self._failed[key] = (self._clock.now() + FORGIVEN_AFTER_S, error)
            while len(self._failed) > _MOST_FAILURES:
                self._failed.popitem(last=False)
            raise
        self._failed.pop(key, None)

    def _fetched(self, key: str, task: asyncio.Task[None]) -> None:
        del self._fetching[key]
        if not task.cancelled():
            task.exception()  # looked at: whoever waited may have left

    async def _fetch(self, rule: PullThroughRule, meant: RepositoryId, reference: str) -> None:
        client, name = self._client(rule), upstream_name(rule, meant.name)
        tag = "" if is_digest(reference) else reference
        held = self._store.get(IMAGE_TAGS, tag_key(meant.key, tag)) if tag else None
        try:
            if held is not None and await client.manifest_digest(name, tag) == held.digest:
                await self._store.transact(lambda tx: self._note_checked(tx, meant, tag, held.digest))
                return
            found = await client.manifest(name, reference)
            manifest = _parsed(client, found)
        except RemoteError as error:
            log.warning("%s %s%s: %s", meant.key, reference, " is served as it was" if held is not None else "", error)
            code = failure_code(error)
            await self._store.transact(lambda tx: self._tell(tx, rule, meant, tag, "", code))
            raise
        now = self._clock.now()
        repository = await self._store.transact(lambda tx: ensure_repository(tx, meant, "PULL_THROUGH_CACHE", now))
        size = await content_of(self._blobs, repository).put(found.content, found.digest)

        def record_it(tx: Tx) -> None:
            check_place(tx, repository)
            self._import(tx, rule, meant, tag, found.digest, manifest, size)

        await self._store.transact(record_it)
        log.info("%s %s: imported %s from %s", meant.key, reference, found.digest, client)

    def _import(self, tx: Tx, rule: PullThroughRule, meant: RepositoryId, tag: str, digest: str, manifest: Manifest, size: int) -> None:
        def push(*tags: str) -> Push:
            return Push(
                manifest=manifest,
                digest=digest,
                size=size,
                tags=tags,
                now=self._clock.now(),
                may_lack_images=True,
                may_lack_layers=True,
                carried=True,
            )

        try:
            record_push(tx, meant, push(*((tag,) if tag else ())), again_is_error=False)
        except ImageTagAlreadyExistsException:
            # An immutable tag stays where it is, wherever the upstream's goes.
            held = tx.get(IMAGE_TAGS, tag_key(meant.key, tag))
            self._note_checked(tx, meant, tag, held.digest if held is not None else digest)
            return
        if tag:
            self._note_checked(tx, meant, tag, digest)
        self._tell(tx, rule, meant, tag, digest)

    def _note_checked(self, tx: Tx, meant: RepositoryId, tag: str, digest: str) -> None:
        tx.put(CACHED_TAGS, CachedTag(repository=meant.key, tag=tag, digest=digest, checked_at=self._clock.now()))

    def _tell(self, tx: Tx, rule: PullThroughRule, meant: RepositoryId, tag: str, digest: str, failure: str = "") -> None:
        """`ECR Pull Through Cache Action`, where there is a repository to tell of."""
        repository = tx.get(REPOSITORIES, meant.key)
        if repository is None:
            return
        detail = {
            "rule-version": "1",
            "sync-status": "FAILED" if failure else "SUCCESS",
            "ecr-repository-prefix": rule.prefix,
            "repository-name": meant.name,
            "upstream-registry-url": rule.upstream_url,
            "image-tag": tag,
            "image-digest": digest,
            **({"failure-code": failure} if failure else {}),
        }
        record(tx, repository, "ECR Pull Through Cache Action", detail, self._clock.now(), ordinal=f"PULL:{digest}:{tag}")

    # -- layers ----------------------------------------------------------------------------------------------------------------

    def missing_blob(self, meant: RepositoryId, digest: str) -> int | None:
        """The size of a layer that an image of a cached repository names and that is not here yet; None for all others."""
        if rule_for(self._store, meant) is None or not is_digest(digest):
            return None
        repository = self._store.get(REPOSITORIES, meant.key)
        key = image_key(meant.key, digest)
        if repository is None:
            return None
        held = self._store.get(REPOSITORY_BLOBS, key)
        if held is not None and content_of(self._blobs, repository).size(digest) == held.size:
            return None
        for image in self._store.list(IMAGES, "references", key):
            for reference in image.references:
                if reference.digest == digest and not reference.is_manifest and not reference.foreign and not image.archived:
                    return reference.size
        return None

    async def download(self, meant: RepositoryId, digest: str, size: int) -> Download:
        """Fetch a layer that `missing_blob` knows, or join whoever does: whoever may pull the image may have its layers.

        Raises RemoteError and BlobStoreFull.
        """
        key = image_key(meant.key, digest)
        rule = rule_for(self._store, meant)
        repository = self._store.get(REPOSITORIES, meant.key)
        if rule is None or repository is None:
            raise RemoteInvalid(f"{meant.name} is not cached any more")
        client = self._client(rule)

        def name(tx: Tx) -> None:
            check_place(tx, repository)
            record_blob(tx, meant, digest, size, self._clock.now())

        async def arrived() -> None:
            await self._store.transact(name)

        return await self._downloads.begin(
            key, digest, size, client, upstream_name(rule, meant.name), content_of(self._blobs, repository), arrived
        )

    async def trouble_with(self, rule: PullThroughRule) -> str | None:
        """Why the upstream does not answer, or not us; None when it does."""
        try:
            await _asked(self._client(rule))
        except RemoteError as error:
            return str(error)
        return None

    async def trouble_with_remote(self, remote: RemoteRegistry) -> str | None:
        """The same of a remote registry, which images are replicated to."""
        try:
            await _asked(remote_client(self._remotes, remote, self._secret))
        except RemoteError as error:
            return str(error)
        return None

    # -- upstreams -------------------------------------------------------------------------------------------------------------

    def _client(self, rule: PullThroughRule) -> RemoteClient:
        """Raises RemoteError; what is wrong with the rule's secret counts as being denied."""
        return client_of(self._store, self._remotes, rule, self._secret)


async def _asked(client: RemoteClient) -> None:
    """Whether it answers, found out in a task of its own: aiohttp's time limits need one, and a request begun at once has none."""
    await asyncio.create_task(client.ping(), name=f"ping:{client}")


def client_of(store: Store, remotes: Remotes, rule: PullThroughRule, secret: Keys) -> RemoteClient:
    try:
        return RemoteClient(remotes, place_of(rule.upstream_url), credentials_of(store, rule, secret))
    except AddressRefused as refused:
        raise RemoteInvalid(str(refused)) from refused
    except AwsError as error:
        raise RemoteDenied(error.message) from error


def _parsed(client: RemoteClient, found: RemoteManifest) -> Manifest:
    """Raises RemoteInvalid."""
    try:
        return parse_manifest(found.content, found.media_type if found.media_type in MEDIA_TYPES else None)
    except ManifestInvalid as error:
        raise RemoteInvalid(f"{client} sent a manifest that cannot be kept: {error}") from error
