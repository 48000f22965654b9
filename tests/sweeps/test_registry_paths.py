"""The registry, sent what no client sends: names, digests, tags and upload ids that want to be paths, and doubtful credentials.

Bytes go over raw sockets, since clients tidy paths up before they send them. Whatever is sent, the answer is none of the
server's own failures, nothing is written but blobs and uploads where they belong, and good requests go on working.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from longshore.gateway.app import Gateway
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identities
from longshore.gateway.lane import Lanes
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import RandomIds
from longshore.registry.registry import Registry
from longshore.resources import RESOURCE_SIDES
from longshore.services.call import Principal, Site
from longshore.services.ecr.model import REPOSITORIES, Repository
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.services.ecr.tokens import GOOD_FOR_S, password
from longshore.services.iam.identities import ensure_root, root_principal
from longshore.store.base import Store, Tx
from longshore.store.file_blobs import FileBlobStore
from longshore.store.memory import memory_store
from tests.sweeps.installation import KINDS, OWNER, REGION, ROOT, STRANGER, STRANGERS_ROOT

SECRET = b"this installation's own secret.."
CONTENT = b"a layer" * 50
DIGEST = digest_of(CONTENT)
PATIENCE_S = 10.0
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "BREW")

NASTY: tuple[bytes, ...] = (
    *(b"..", b".", b"../..", b"../../../../etc/passwd", b"/etc/passwd", b"//etc/passwd", b"a/../b", b"a/./b", b"app/web/.."),
    *(b"%2e%2e", b"%2e%2e%2f%2e%2e%2fetc", b"..%2f..%2f", b"%2fetc%2fpasswd", b"a%2f..%2fb", b".%2e", b"%2E%2E/%2E%2E"),
    *(b"%252e%252e", b"..%252f..%252f", b"%25%32%65%25%32%65", b"%c0%ae%c0%ae", b"%e0%80%ae", b"%uff0e%uff0e", b"..%5c..%5c", b"..\\..\\"),
    *(b"%00", b"a%00b", b"..%00", b"app%2fweb%00.txt", b"%ff", b"%fe%ff", b"%", b"%zz", b"%0d%0aX-Injected:%201", b"%0a", b"%7f", b"%1b"),
    *("é".encode(), b"%c3%a9", b"%e2%80%ae", b"%ed%a0%80", b"\xff\xfe", b"UPPER", b"a%20b", b"a+b", b"a;b", b"a@b", b"a:b"),
    *(b"a" * 300, b"a" * 4000, b"a/" * 1500 + b"a", b"a-" * 1500, b"%61" * 1500, b"-", b"_", b"__", b"a__b", b"a..b", b"~", b"$(id)", b"*"),
    *(b"sha256:", b"sha256:..", b"sha256:" + b"0" * 63, b"sha256:" + b"0" * 65, b"sha256:" + b"g" * 64, b"sha256:" + b"A" * 64),
    *(b"sha256:../../../../" + b"0" * 52, b"sha256:%2e%2e%2f" + b"0" * 61, b"sha512:" + b"0" * 64, b"md5:" + b"0" * 32),
    *(b"..:" + b"0" * 64, b"../sha256:" + b"0" * 64, b"sha256:" + "０".encode() * 64, DIGEST.encode() + b"%00", DIGEST.encode() + b"%0a"),
    *(b"999999999999.dkr.ecr.us-east-1/app/web", b"123456789012.dkr.ecr.../app/web", b"123456789012.dkr.ecr.us-east-1/../x"),
    *(b"blobs", b"manifests", b"tags/list", b"uploads", b"_catalog", b"v2", b"blobs/uploads/x"),
)  # fmt: skip


@dataclass
class Answered:
    status: int
    head: bytes
    body: bytes


@dataclass
class Platform:
    port: int
    directory: Path
    clock: SteppedClock
    store: Store

    def authorization(self, principal: Principal | None = None, *, secret: bytes = SECRET, good_for_s: float = GOOD_FOR_S) -> bytes:
        who = principal or root_principal(OWNER, ROOT.access_key_id)
        token = password(secret, who, self.clock.now() + good_for_s)
        return b"Basic " + base64.b64encode(f"AWS:{token}".encode())

    async def send(self, method: str, target: bytes, body: bytes = b"", *headers: bytes, authorization: bytes | None = None) -> Answered:
        """One request on a connection of its own, its target as it stands."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        given = [
            method.encode() + b" " + target + b" HTTP/1.1",
            *([] if any(header.lower().startswith(b"host:") for header in headers) else [b"Host: 127.0.0.1"]),
            b"Connection: close",
            b"Content-Length: %d" % len(body),
            *([] if authorization == b"" else [b"Authorization: " + (authorization or self.authorization())]),
            *headers,
        ]
        writer.write(b"\r\n".join(given) + b"\r\n\r\n" + body)
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.read()
        writer.close()
        head, _, rest = answer.partition(b"\r\n\r\n")
        return Answered(int(head.split(None, 2)[1]), head, rest)

    async def sweep(self, requests: Iterable[tuple[str, bytes, bytes, tuple[bytes, ...]]]) -> dict[int, int]:
        """Send them all; how often each status was answered. None may be a failure of the server's."""
        found: dict[int, int] = {}
        for method, target, body, headers in requests:
            answer = await self.send(method, target, body, *headers)
            assert answer.status < 500, (method, target[:200], headers, answer.body)
            assert b"X-Injected" not in answer.head
            if answer.body and answer.status >= 400 and b"application/json" in answer.head:
                assert json.loads(answer.body)["errors"], answer.body
            found[answer.status] = found.get(answer.status, 0) + 1
        return found

    def stray(self) -> list[str]:
        """Files that are neither blobs nor uploads nor what stood there before."""
        files = [str(path.relative_to(self.directory)) for path in self.directory.rglob("*") if not path.is_dir()]
        return [name for name in files if not _PLACE.fullmatch(name) and name != "outside/secret"]

    async def still_works(self) -> None:
        answer = await self.send("POST", f"/v2/app/web/blobs/uploads/?digest={DIGEST}".encode(), CONTENT)
        assert answer.status == 201, answer.body
        assert (await self.send("GET", f"/v2/app/web/blobs/{DIGEST}".encode())).body == CONTENT
        assert self.stray() == []
        assert (self.directory / "outside" / "secret").read_text() == "untouched"


_PLACE = re.compile(r"registry/(?:blobs/(?:sha256/[0-9a-f]{2}/[0-9a-f]{64}|sha512/[0-9a-f]{2}/[0-9a-f]{128})|uploads/[0-9a-f-]+)")


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("untouched")
    clock, ids, store = SteppedClock(), RandomIds(), memory_store(KINDS)
    blobs = await FileBlobStore.open(tmp_path / "registry", clock=clock)
    site = Site(OWNER, REGION, ("us-east-1a",), "http://127.0.0.1:4566", 4566)

    def found(tx: Tx) -> None:
        for account, keys in ((OWNER, ROOT), (STRANGER, STRANGERS_ROOT)):
            ensure_root(tx, account, keys.access_key_id, keys.secret, clock.now())
        for name in ("app/web", "app/other"):
            tx.put(REPOSITORIES, Repository(RepositoryId(REGION, OWNER, name).arn, REGION, OWNER, name, clock.now()))

    await store.transact(found)
    identities, access = Identities(store, clock, site), Access(store, clock, RESOURCE_SIDES)
    gateway = Gateway(
        store=store, blobs=blobs, clock=clock, ids=ids, site=site, identities=identities, access=access, signing_secret=SECRET
    )
    registry = Registry(store=store, blobs=blobs, clock=clock, site=site, secret=SECRET, authorise=access.denial, owner=identities.owner)
    gateway.mount("/v2/", registry.handle)
    general = web.Server(gateway.handle, access_log=None, auto_decompress=False)
    lanes = Lanes(gateway.answer, general)
    listener = await asyncio.get_running_loop().create_server(lanes, "127.0.0.1", 0)
    yield Platform(listener.sockets[0].getsockname()[1], tmp_path, clock, store)
    listener.close()
    await general.shutdown(1)
    await store.close()
    await blobs.close()


# ── paths ───────────────────────────────────────────────────────────────────────────────────────────────────────────

PATHS: tuple[tuple[str, bytes], ...] = (
    ("anywhere", b"/v2/%b"),
    ("repository", b"/v2/%b/tags/list"),
    ("repository of a manifest", b"/v2/%b/manifests/1"),
    ("repository of a blob", b"/v2/%b/blobs/" + DIGEST.encode()),
    ("repository of uploads", b"/v2/%b/blobs/uploads/"),
    ("end of a repository", b"/v2/app/%b/manifests/1"),
    ("digest", b"/v2/app/web/blobs/%b"),
    ("tag", b"/v2/app/web/manifests/%b"),
    ("upload", b"/v2/app/web/blobs/uploads/%b"),
    ("digest of an upload", b"/v2/app/web/blobs/uploads/?digest=%b"),
    ("digest to mount", b"/v2/app/web/blobs/uploads/?from=app/other&mount=%b"),
    ("repository to mount from", b"/v2/app/web/blobs/uploads/?mount=" + DIGEST.encode() + b"&from=%b"),
    ("algorithm", b"/v2/app/web/blobs/uploads/?digest-algorithm=%b"),
    ("subject", b"/v2/app/web/referrers/%b"),
    ("kind of referrer", b"/v2/app/web/referrers/" + DIGEST.encode() + b"?artifactType=%b"),
    ("page", b"/v2/app/web/tags/list?n=%b"),
    ("last tag", b"/v2/app/web/tags/list?n=1&last=%b"),
    ("last repository", b"/v2/_catalog?n=1&last=%b"),
)


@pytest.mark.parametrize("path", [path for _, path in PATHS], ids=[name for name, _ in PATHS])
async def test_no_name_is_a_path(platform: Platform, path: bytes) -> None:
    methods = METHODS if path in (PATHS[6][1], PATHS[7][1], PATHS[8][1]) else ("GET", "POST", "PUT")
    found = await platform.sweep((method, path % nasty, CONTENT, ()) for nasty, method in itertools.product(NASTY, methods))
    assert sum(found.values()) == len(NASTY) * len(methods)
    await platform.still_works()


async def test_an_upload_is_found_by_its_own_path_only(platform: Platform) -> None:
    begun = await platform.send("POST", b"/v2/app/web/blobs/uploads/")
    location = re.search(rb"Location: (\S+)", begun.head)
    assert location is not None
    upload_id, _, seal = location[1].rpartition(b"/")[2].partition(b".")
    others = [
        b"/v2/app/other/blobs/uploads/%b.%b" % (upload_id, seal),
        *(b"/v2/app/web/blobs/uploads/" + wrong for wrong in _wrong_uploads(upload_id, seal)),
    ]
    found = await platform.sweep(
        (method, f"{other.decode()}?digest={DIGEST}".encode(), CONTENT, ())
        for other in others
        for method in ("PATCH", "PUT", "GET", "DELETE")
    )
    assert set(found) <= {400, 404}, found
    finished = await platform.send("PUT", location[1] + f"?digest={DIGEST}".encode(), CONTENT)
    assert finished.status == 201, "nobody else has touched it"
    await platform.still_works()


def _wrong_uploads(upload_id: bytes, seal: bytes) -> list[bytes]:
    return [
        upload_id,
        upload_id + b".",
        b"." + seal,
        upload_id + b"." + seal[:-1],
        upload_id + b"." + seal[::-1],
        upload_id + b"." + seal.upper() + b"0",
        upload_id[::-1] + b"." + seal,
        b"../uploads/" + upload_id + b"." + seal,
        b"%2e%2e%2fuploads%2f" + upload_id + b"." + seal,
        upload_id + b"%00." + seal,
        b"%2e%2e%2f%2e%2e%2foutside%2fsecret." + seal,
    ]


RANGES = (
    b"",
    b"x",
    b"0-0",
    b"0--1",
    b"-1-5",
    b"5-1",
    b"bytes 0-5/6",
    b"0-99999999999999999999999",
    "٠-٥".encode(),
    b"0-5,6-7",
    b"a-b",
    b"1-" + b"9" * 5000,
)


async def test_ranges_that_are_none_are_refused(platform: Platform) -> None:
    await platform.still_works()
    for value in (*RANGES, *(b"bytes=" + each for each in RANGES), b"bytes=-0", b"bytes=--1", b"bytes=0-0," * 500, b"bytes=99999999-"):
        await platform.sweep([("GET", f"/v2/app/web/blobs/{DIGEST}".encode(), b"", (b"Range: " + value,))])
    for value in RANGES:
        begun = await platform.send("POST", b"/v2/app/web/blobs/uploads/")
        location = re.search(rb"Location: (\S+)", begun.head)
        assert location is not None
        await platform.sweep([("PATCH", location[1], CONTENT, (b"Content-Range: " + value,))])
    await platform.still_works()


HOSTS = (
    b"",
    b"..",
    b"999999999999.dkr.ecr.us-east-1.localhost",
    b"../../x",
    b"x\ty",
    b"a" * 5000,
    b"[::1]:99999",
    "é".encode(),
    b"x:y:z",
    b"127.0.0.1, b",
)


async def test_hosts_of_every_kind_are_answered(platform: Platform) -> None:
    for host in HOSTS:
        for target in (b"/v2/", b"/v2/app/web/tags/list", b"/v2/_catalog"):
            await platform.sweep([("GET", target, b"", (b"Host: " + host,))])
            answer = await platform.send("GET", target, b"", b"Host: " + host, authorization=b"")
            assert answer.status in (400, 401)
    await platform.still_works()


# ── credentials ─────────────────────────────────────────────────────────────────────────────────────────────────────


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


FORMS: tuple[bytes, ...] = (
    *(b"Basic", b"Basic ", b"Basic =", b"Basic ====", b"Basic %", b"Basic \xff\xfe", b"Bearer x", b"Negotiate", b"basic:x", b"x" * 7000),
    *(b"Basic " + b"A" * 7000, basic(""), basic(":"), basic("AWS"), basic("AWS:"), basic(":x"), basic("aws:x"), basic("AWS:x:y")),
    *(basic("AWS:é"), basic("AWS:" + "A" * 43), basic("AWS:" + "=" * 44), basic("AWS:" + "A" * 4097),),
    basic(f"{ROOT.access_key_id}:{ROOT.secret}"),
    *(basic("AWS:" + base64.urlsafe_b64encode(b"\0" * 32 + each).decode()) for each in (b"", b"[]", b"{}", b"null", b"[" * 1000)),
    b"AWS4-HMAC-SHA256 Credential=x/20200101/us-east-1/ecr/aws4_request, SignedHeaders=host, Signature=0",
)  # fmt: skip


@pytest.mark.parametrize("target", [b"/v2/", b"/v2/app/web/manifests/1", b"/v2/app/web/blobs/uploads/", b"/v2/_catalog"])
async def test_credentials_of_the_wrong_form_let_nobody_in(platform: Platform, target: bytes) -> None:
    before = platform.store.revision
    for form in FORMS:
        for method in ("GET", "POST"):
            answer = await platform.send(method, target, b"x", authorization=form)
            assert answer.status in (400, 401), (form, answer)
            if answer.status == 401:
                assert b"WWW-Authenticate: Basic realm=" in answer.head
    assert platform.store.revision == before
    await platform.still_works()


async def test_tokens_of_other_installations_are_worth_nothing(platform: Platform) -> None:
    for secret in (b"another installation's secret...", SECRET[:-1], SECRET[::-1], b""):
        answer = await platform.send("GET", b"/v2/", authorization=platform.authorization(secret=secret))
        assert answer.status == 401


async def test_an_expired_token_is_refused(platform: Platform) -> None:
    good = platform.authorization()
    assert (await platform.send("GET", b"/v2/", authorization=good)).status == 200
    await platform.clock.step(GOOD_FOR_S)
    answer = await platform.send("GET", b"/v2/", authorization=good)
    assert (answer.status, json.loads(answer.body)["errors"][0]["code"]) == (403, "DENIED")
    for lifetime in (0.0, -1e9, float("-inf")):
        answer = await platform.send("GET", b"/v2/", authorization=platform.authorization(good_for_s=lifetime))
        assert answer.status in (401, 403)


async def test_a_token_with_any_bit_changed_is_worth_nothing(platform: Platform) -> None:
    name, _, token = base64.b64decode(platform.authorization()[6:]).decode().partition(":")
    sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        answer = await platform.send("GET", b"/v2/", authorization=basic(f"{name}:{base64.urlsafe_b64encode(changed).decode()}"))
        assert answer.status == 401, at
    for shorter in (sealed[:-1], sealed[1:], sealed[:32], sealed[:31], b"", sealed + b"\0"):
        answer = await platform.send("GET", b"/v2/", authorization=basic(f"{name}:{base64.urlsafe_b64encode(shorter).decode()}"))
        assert answer.status == 401


async def test_a_good_token_of_another_account_opens_none_of_this_ones_repositories(platform: Platform) -> None:
    await platform.still_works()
    stranger = platform.authorization(root_principal(STRANGER, STRANGERS_ROOT.access_key_id))
    prefix = f"{OWNER}.dkr.ecr.{REGION}".encode()
    for name in (b"app/web", prefix + b"/app/web"):
        for method, rest in (
            ("GET", b"tags/list"),
            ("GET", b"blobs/" + DIGEST.encode()),
            ("POST", b"blobs/uploads/"),
            ("PUT", b"manifests/1"),
        ):
            answer = await platform.send(method, b"/v2/" + name + b"/" + rest, CONTENT, authorization=stranger)
            assert answer.status in (403, 404), (name, rest, answer)
    own = f"{STRANGER}.dkr.ecr.{REGION}".encode()
    mount = b"/v2/%b/app/web/blobs/uploads/?mount=%b&from=%b/app/web" % (own, DIGEST.encode(), prefix)
    assert (await platform.send("POST", mount, authorization=stranger)).status in (403, 404)
    await platform.still_works()
