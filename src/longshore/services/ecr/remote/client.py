"""A registry elsewhere: its manifests and blobs, read and written.

Nothing it says is believed: manifests and blobs have the digest they were asked by or are refused, sizes are bounded before
anything is read, and a connection that breaks in the middle of a blob is taken up again where it broke.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import NamedTuple

import aiohttp
from yarl import URL

from longshore.kit.backoff import backoff_s
from longshore.services.ecr.manifests import MEDIA_TYPES
from longshore.services.ecr.names import LARGEST_MANIFEST, digest_of, is_digest
from longshore.services.ecr.remote.addresses import Place
from longshore.services.ecr.remote.connection import Connection, Credentials, Remotes, read_at_most
from longshore.services.ecr.remote.errors import RemoteInvalid, RemoteRefused, RemoteUnavailable, told

_PIECE = 1 << 20
#: how often in a row a broken transfer is taken up without getting any further
_MOST_VAIN_TRIES = 4
#: a blob that comes more slowly than this, after a while, is none that somebody waits for: it would hold a connection for ever
_SLOWEST_BYTES_S, _SLOW_AFTER_S = 1024, 300.0
_ACCEPT = ", ".join(sorted(MEDIA_TYPES))
_PULL, _PUSH = "pull", "pull,push"


class RemoteManifest(NamedTuple):
    content: bytes
    digest: str
    media_type: str


class RemoteClient:
    def __init__(self, remotes: Remotes, place: Place, credentials: Credentials | None = None) -> None:
        self._connection = Connection(remotes, place, credentials)
        self._place = place

    def __str__(self) -> str:
        return str(self._connection)

    # -- reading ---------------------------------------------------------------------------------------------------------------

    async def ping(self) -> None:
        """Whether it answers, and takes our credentials. Raises RemoteError."""
        async with self._connection.send("GET", self._url("v2/"), scope="") as response:
            if response.status != 200:
                raise told(str(self), response.status, "GET /v2/")

    async def manifest_digest(self, name: str, reference: str) -> str | None:
        """What `reference` stands for there; None where the registry does not say. Raises RemoteError."""
        url = self._of(name, "manifests", reference)
        async with self._connection.send("HEAD", url, scope=self._scope(name, _PULL), headers={"Accept": _ACCEPT}) as response:
            if response.status != 200:
                raise told(str(self), response.status, f"HEAD {url.path}")
            digest = response.headers.get("Docker-Content-Digest", "")
            return digest if is_digest(digest) else None

    async def manifest(self, name: str, reference: str) -> RemoteManifest:
        """`reference` is a tag or a digest, which the content then has. Raises RemoteError."""
        url = self._of(name, "manifests", reference)
        async with self._connection.send("GET", url, scope=self._scope(name, _PULL), headers={"Accept": _ACCEPT}) as response:
            if response.status != 200:
                raise told(str(self), response.status, f"GET {url.path}")
            content = await read_at_most(response, LARGEST_MANIFEST)
            if content is None:
                raise RemoteInvalid(f"{self} has a manifest of more than {LARGEST_MANIFEST} bytes at {url.path}")
            said = reference if is_digest(reference) else response.headers.get("Docker-Content-Digest", "")
            digest = digest_of(content, said.partition(":")[0] if is_digest(said) else "sha256")
            if is_digest(said) and said != digest:
                raise RemoteInvalid(f"{self} sent {digest} for {said}")
            return RemoteManifest(content, digest, response.headers.get("Content-Type", "").partition(";")[0].strip())

    async def blob(self, name: str, digest: str, size: int) -> AsyncGenerator[bytes]:
        """The `size` bytes of a blob, in pieces; whether they have the digest is for the reader to find out. Raises RemoteError."""
        at = vain = 0
        since = self._connection.clock.now()
        while at < size:
            begun = at
            try:
                async with aclosing(self._blob_from(name, digest, size, at)) as pieces:
                    async for piece in pieces:
                        at += len(piece)
                        yield piece
                        self._check_pace(digest, at, self._connection.clock.now() - since)
            except RemoteUnavailable:
                vain = 0 if at > begun else vain + 1
                if vain >= _MOST_VAIN_TRIES:
                    raise
                await self._connection.clock.sleep(backoff_s(vain, 0.5))

    def _check_pace(self, digest: str, received: int, took_s: float) -> None:
        """Raises RemoteInvalid, which is not tried again."""
        if took_s > _SLOW_AFTER_S and received < took_s * _SLOWEST_BYTES_S:
            raise RemoteInvalid(f"{self} sent {received} bytes of {digest} in {took_s:.0f} seconds")

    async def _blob_from(self, name: str, digest: str, size: int, first: int) -> AsyncGenerator[bytes]:
        """From byte `first` on, to the end or until the connection breaks (RemoteUnavailable)."""
        url = self._of(name, "blobs", digest)
        headers = {"Range": f"bytes={first}-"} if first else {}
        async with self._connection.send("GET", url, scope=self._scope(name, _PULL), headers=headers, blob=True) as response:
            if response.status not in (200, 206):
                raise told(str(self), response.status, f"GET {url.path}")
            skip = first if response.status == 200 else 0
            if response.status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {first}-"):
                raise RemoteInvalid(f"{self} sent another part of {digest} than was asked for")
            left = size - first
            if response.content_length is not None and response.content_length != skip + left:
                raise RemoteInvalid(f"{self} has {response.content_length + first - skip} bytes for {digest}, not {size}")
            async for piece in response.content.iter_chunked(_PIECE):
                rest = piece[skip:]
                skip -= len(piece) - len(rest)
                left -= len(rest)
                if left < 0:
                    raise RemoteInvalid(f"{self} sent more than the {size} bytes of {digest}")
                if rest:
                    yield rest
            if left:
                raise RemoteUnavailable(f"{self} ended {digest} {left} bytes early")

    # -- writing ---------------------------------------------------------------------------------------------------------------

    async def has_blob(self, name: str, digest: str) -> bool:
        return await self._has(self._of(name, "blobs", digest), name)

    async def has_manifest(self, name: str, digest: str) -> bool:
        return await self._has(self._of(name, "manifests", digest), name)

    async def _has(self, url: URL, name: str) -> bool:
        async with self._connection.send("HEAD", url, scope=self._scope(name, _PUSH), headers={"Accept": _ACCEPT}) as response:
            if response.status not in (200, 404):
                raise told(str(self), response.status, f"HEAD {url.path}")
            return response.status == 200

    async def push_blob(self, name: str, digest: str, size: int, content: Callable[[], AsyncIterator[bytes]]) -> None:
        """`content` gives the bytes anew at every call. Raises RemoteError."""
        scope = self._scope(name, _PUSH)
        url = self._of(name, "blobs", "uploads/")
        async with self._connection.send("POST", url, scope=scope, headers={"Content-Length": "0"}) as response:
            if response.status != 202:
                raise told(str(self), response.status, f"POST {url.path}")
            location = self._location(response, url)
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        # what the registry put there stays as it is, to the letter
        target = URL(f"{location}{'&' if location.raw_query_string else '?'}digest={digest}", encoded=True)
        async with self._connection.send("PUT", target, scope=scope, headers=headers, body=content, blob=True) as response:
            if response.status != 201:
                raise told(str(self), response.status, f"PUT of {digest}")

    async def put_manifest(self, name: str, reference: str, content: bytes, media_type: str) -> None:
        url = self._of(name, "manifests", reference)
        headers = {"Content-Type": media_type}
        async with self._connection.send("PUT", url, scope=self._scope(name, _PUSH), headers=headers, body=content) as response:
            if response.status not in (200, 201, 202):
                raise told(str(self), response.status, f"PUT {url.path}")

    async def delete_manifest(self, name: str, reference: str) -> None:
        """Of a tag or a digest. Raises RemoteNotFound where there is none, RemoteRefused where the registry deletes nothing."""
        url = self._of(name, "manifests", reference)
        async with self._connection.send("DELETE", url, scope=self._scope(name, "pull,push,delete")) as response:
            if response.status not in (200, 202, 204):
                raise told(str(self), response.status, f"DELETE {url.path}")

    # -- names -----------------------------------------------------------------------------------------------------------------

    def _url(self, path: str) -> URL:
        return URL(f"{self._place.origin}/{path}", encoded=True)

    def _of(self, name: str, kind: str, reference: str) -> URL:
        """Names, tags and digests were checked when they came in: nothing in them needs escaping."""
        return self._url(f"v2/{self._full(name)}/{kind}/{reference}")

    def _full(self, name: str) -> str:
        return f"{self._place.prefix}/{name}" if self._place.prefix else name

    def _scope(self, name: str, actions: str) -> str:
        return f"repository:{self._full(name)}:{actions}"

    def _location(self, response: aiohttp.ClientResponse, url: URL) -> URL:
        try:
            return url.join(URL(response.headers["Location"], encoded=True))
        except (KeyError, ValueError):
            raise RemoteRefused(f"{self} began an upload without saying where") from None
