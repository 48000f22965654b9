"""The registry beside docker-registry: how fast blobs and manifests are read, layers written, and images pulled by many at once.

Every round measures each registry in turn, this one first and that one first by turns; what is printed are medians, and the median
of the ratios within a round. What takes a second is measured several times in each round asked for. The clients are bench/load.c,
compiled here, and wrk: they throw away what they read, so that the registries are what limits. Images
for `docker push` and `docker pull` are made anew for each round, because Docker Engine remembers what it has pushed where.

Listing is measured on a server whose store was filled beforehand with 100,000 tags and 100,000 repositories.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.installation import scratch_environment
from bench.registries import MANIFEST_TYPE, REPOSITORY, Side, longshore, most_memory_mb, peers
from bench.report import Figure, Target, p50
from longshore.config import DEFAULT_ACCOUNT_ID, DEFAULT_REGION, DataDirectory
from longshore.resources import KINDS
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, REPOSITORIES, Image, ImageTag, Repository, repository_key
from longshore.services.ecr.names import repository_arn
from longshore.store.sqlite import open_store

MIB = 1024 * 1024
#: how long readers read, and how often in a round
SECONDS, TURNS = 1, 5
BLOB_MIB = 64
UPLOADS = 8
PULLERS = 200
PULLED_LAYERS, PULLED_LAYER_MIB = 4, 25
DOCKER_LAYERS, DOCKER_LAYER_MIB = 5, 60
MOST_MB = 150
LISTED, PAGE, PAGE_MS = 100_000, 1000, 50


@dataclass(slots=True)
class Rounds:
    """What was seen, by registry: a value per round."""

    seen: dict[str, list[float]] = field(default_factory=dict)

    def add(self, side: Side, value: float) -> None:
        self.seen.setdefault(side.name, []).append(value)

    def figures(self, what: str, unit: str, target: Target, ours: str = "longshore") -> Iterator[Figure]:
        """One figure per peer; the target is docker-registry's."""
        for name, values in self.seen.items():
            if name != ours:
                ratios = [mine / theirs for mine, theirs in zip(self.seen[ours], values, strict=True)]
                aimed = target if name == "docker-registry" else None
                yield Figure(what, unit, p50(self.seen[ours]), p50(values), name, aimed, of_rounds=p50(ratios))


def measure(rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="longshore-bench-") as name:
        directory = Path(name)
        load = _compiled(directory)
        with longshore(directory / "longshore") as ours, peers(directory) as others:
            sides = [ours, *others]
            yield from _blobs(sides, rounds, load)
            yield from _manifests(sides, rounds)
            yield from _uploads(sides, rounds, load, directory)
            yield from _cold_pulls(sides, rounds, load)
            yield from _docker(sides, rounds, directory)
            yield Figure("memory, the most under all of it", "MB", most_memory_mb(ours.pid), target=Target("<=", MOST_MB))
        yield from _listing(directory)


def _compiled(directory: Path) -> str:
    program = directory / "load"
    subprocess.run(["cc", "-O2", "-pthread", "-o", program, Path(__file__).with_name("load.c")], check=True)
    return str(program)


def _turns(sides: Sequence[Side], count: int) -> Iterator[Sequence[Side]]:
    """The registries in the order in which they are measured, that many times: what comes first finds the machine otherwise."""
    for number in range(count):
        yield sides if number % 2 == 0 else sides[::-1]


def _loaded(load: str, kind: str, side: Side, *arguments: str) -> dict[str, float]:
    done = subprocess.run([load, kind, str(side.port), side.authorization, *arguments], capture_output=True, text=True, check=True)
    seen: dict[str, float] = json.loads(done.stdout)
    if seen["failed"]:
        raise RuntimeError(f"{side.name}: {kind}: {seen}: these figures would mean nothing")
    return seen


def _blobs(sides: Sequence[Side], rounds: int, load: str) -> Iterator[Figure]:
    blob = os.urandom(BLOB_MIB * MIB)
    paths = {side.name: side.push(REPOSITORY, "blob", [blob])[-1] for side in sides}
    for clients in (1, 8, 32):
        found = Rounds()
        for turn in _turns(sides, rounds * TURNS):
            for side in turn:
                seen = _loaded(load, "get", side, str(clients), str(SECONDS), paths[side.name])
                found.add(side, seen["bytes"] / seen["seconds"] / MIB)
        yield from found.figures(f"GET of {BLOB_MIB} MiB, {clients} at once", "MiB/s", Target("ratio >=", 1.3))


def _manifests(sides: Sequence[Side], rounds: int) -> Iterator[Figure]:
    found = Rounds()
    paths = {side.name: side.push(REPOSITORY, "manifest", [b"layer"])[0] for side in sides}
    for _ in range(rounds):
        for side in sides:
            command = [
                "wrk",
                "-t",
                "1",
                "-c",
                "32",
                "-d",
                f"{SECONDS}s",
                "-H",
                f"Accept: {MANIFEST_TYPE}",
                f"http://{side.host}{paths[side.name]}",
            ]
            if side.authorization:
                command += ["-H", f"Authorization: {side.authorization}"]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            if "Non-2xx" in output or "Socket errors" in output:
                raise RuntimeError(f"{side.name}: {output}")
            found.add(side, float(output.partition("Requests/sec:")[2].split()[0]))
    yield from found.figures("GET of a manifest, 32 at once", "/s", Target(">=", 8000))


def _uploads(sides: Sequence[Side], rounds: int, load: str, directory: Path) -> Iterator[Figure]:
    found = Rounds()
    for turn in _turns(sides, rounds * 2):
        given: list[str] = []
        for number in range(UPLOADS):
            content = os.urandom(BLOB_MIB * MIB)
            file = directory / f"upload-{number}"
            file.write_bytes(content)
            given += [str(file), f"sha256:{hashlib.sha256(content).hexdigest()}"]
        os.sync()  # what is written later is the registries' own
        for side in turn:
            seen = _loaded(load, "push", side, f"/v2/{REPOSITORY}/blobs/uploads/", *given)
            found.add(side, seen["bytes"] / seen["seconds"] / MIB)
            os.sync()
    yield from found.figures(f"upload of {UPLOADS} × {BLOB_MIB} MiB at once", "MiB/s", Target("ratio >=", 1.5))


def _cold_pulls(sides: Sequence[Side], rounds: int, load: str) -> Iterator[Figure]:
    layers = [os.urandom(PULLED_LAYER_MIB * MIB) for _ in range(PULLED_LAYERS)]
    paths = {side.name: side.push(REPOSITORY, "pulled", layers) for side in sides}
    found = Rounds()
    for turn in _turns(sides, rounds):
        for side in turn:
            seen = _loaded(load, "pull", side, str(PULLERS), *paths[side.name])
            found.add(side, seen["bytes"] / seen["seconds"] / MIB)
    yield from found.figures(f"{PULLERS} pulls of {PULLED_LAYERS * PULLED_LAYER_MIB} MiB at once", "MiB/s", Target("ratio >=", 1.2))


# ── docker ──


def _docker(sides: Sequence[Side], rounds: int, directory: Path) -> Iterator[Figure]:
    environment = scratch_environment(directory / "client")
    pushed, pulled = Rounds(), Rounds()

    def docker(*arguments: str, given: bytes | None = None, may_fail: bool = False) -> None:
        done = subprocess.run(["docker", *arguments], env=environment, input=given, capture_output=True, check=False)
        if done.returncode and not may_fail:
            raise RuntimeError(f"docker {arguments[0]}: {done.stderr.decode(errors='replace')}")

    for side in sides:
        if side.authorization:
            user, _, password = base64.b64decode(side.authorization.partition(" ")[2]).partition(b":")
            docker("login", "--username", user.decode(), "--password-stdin", side.host, given=password)
    for number, turn in enumerate(_turns(sides, rounds)):
        names = {side.name: f"{side.host}/{REPOSITORY}:docker-{number}" for side in sides}
        docker("load", given=_saved(list(names.values())))
        try:
            for side in turn:
                pushed.add(side, _took(docker, "push", "--quiet", names[side.name]))
            docker("rmi", *names.values())
            for side in turn:
                pulled.add(side, _took(docker, "pull", "--quiet", names[side.name]))
                docker("rmi", names[side.name])
        finally:
            docker("rmi", "--force", *names.values(), may_fail=True)
    size = DOCKER_LAYERS * DOCKER_LAYER_MIB
    yield from pushed.figures(f"docker push of {size} MiB", "s", Target("ratio <=", 1.0))
    yield from pulled.figures(f"docker pull of {size} MiB", "s", Target("ratio <=", 1.0))


def _took(work: Callable[..., None], *arguments: str) -> float:
    begun = time.monotonic()
    work(*arguments)
    return time.monotonic() - begun


def _saved(names: list[str]) -> bytes:
    """An image nobody has seen before, as `docker save` writes one."""
    layers = []
    for number in range(DOCKER_LAYERS):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as tar:
            _add(tar, f"content-{number}", os.urandom(DOCKER_LAYER_MIB * MIB))
        layers.append(file.getvalue())
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]},
        }
    ).encode()
    image = io.BytesIO()
    with tarfile.open(fileobj=image, mode="w") as tar:
        _add(tar, "config.json", config)
        for number, layer in enumerate(layers):
            _add(tar, f"{number}/layer.tar", layer)
        described = {"Config": "config.json", "RepoTags": names, "Layers": [f"{number}/layer.tar" for number in range(DOCKER_LAYERS)]}
        _add(tar, "manifest.json", json.dumps([described]).encode())
    return image.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


# ── lists ──


def _listing(directory: Path) -> Iterator[Figure]:
    place = directory / "listing"
    data = DataDirectory(place / "data")
    data.prepare()
    asyncio.run(_fill(data.root))
    with longshore(place, ()) as side:
        for what, path in (("tags", f"/v2/{REPOSITORY}/tags/list"), ("repositories", "/v2/_catalog")):
            took, entries, following = [], 0, f"{path}?n={PAGE}"
            while following:
                begun = time.monotonic()
                status, headers, content = side.ask("GET", following)
                took.append((time.monotonic() - begun) * 1000)
                if status != 200:
                    raise RuntimeError(f"{following}: {status} {content[:300]!r}")
                (names,) = (value for value in json.loads(content).values() if isinstance(value, list))
                entries += len(names)
                following = headers.get("link", "").partition(">")[0].removeprefix("<")
            if entries < LISTED:
                raise RuntimeError(f"{entries} {what} were listed of {LISTED}")
            yield Figure(f"{PAGE} of {LISTED} {what}, p50", "ms", p50(took))
            yield Figure(f"{PAGE} of {LISTED} {what}, the slowest page", "ms", max(took), target=Target("<=", PAGE_MS))
        yield Figure("memory with these", "MB", most_memory_mb(side.pid))


async def _fill(root: Path) -> None:
    store = await open_store(root, KINDS)
    account, region = DEFAULT_ACCOUNT_ID, DEFAULT_REGION
    repository = repository_key(region, account, REPOSITORY)
    digest = f"sha256:{'0' * 64}"
    image = Image(repository=repository, digest=digest, media_type=MANIFEST_TYPE, manifest_size=1, size=1, pushed_at=0.0)
    await store.transact(lambda tx: tx.create(IMAGES, image))
    names = [REPOSITORY, *(f"team-{number % 97}/service-{number:06}" for number in range(LISTED - 1))]
    for first in range(0, LISTED, 5000):

        def fill(tx: object, first: int = first) -> None:
            for name in names[first : first + 5000]:
                tx.create(  # type: ignore[attr-defined]
                    REPOSITORIES,
                    Repository(arn=repository_arn(region, account, name), region=region, account_id=account, name=name, created_at=0.0),
                )
            for number in range(first, first + 5000):
                tag = ImageTag(repository=repository, tag=f"build-{number:06}", digest=digest, tagged_at=0.0)
                tx.create(IMAGE_TAGS, tag)  # type: ignore[attr-defined]

        await store.transact(fill)
    await store.close()
