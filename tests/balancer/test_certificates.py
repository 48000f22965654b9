"""What is told to a running HAProxy about certificates: whatever changed, it ends with what is wanted, by way of nothing wrong."""

from __future__ import annotations

import asyncio
import tempfile
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.balancer.certificates import Certificates
from longshore.balancer.proofs import proofs_of
from longshore.balancer.render.places import Places
from longshore.balancer.runtime import Runtime
from longshore.balancer.snapshot import Front, Snapshot
from longshore.kit.sealing import seal
from longshore.services.acm.model import CERTIFICATES, PURPOSE, Certificate
from longshore.store.memory import memory_store
from tests.balancer.cases import front
from tests.balancer.tls import SECRET, issued

NAMES = ("a.test", "b.test", "c.test")


@cache
def pair(name: str, version: int) -> tuple[bytes, bytes]:
    return issued(name)


def arn(name: str) -> str:
    return f"arn:aws:acm:us-east-1:000000000000:certificate/{name}"


class Worker(Runtime):
    """Certificates and lists as HAProxy keeps them, and what clients of one listener would be shown after each command."""

    def __init__(self) -> None:
        super().__init__("")
        self.files: dict[str, str] = {}
        self.lists: dict[str, list[str]] = {}
        self.pending: tuple[str, str] | None = None
        self.states: list[dict[str, list[str]]] = []

    def read(self, places: Places) -> None:
        """As one that starts does."""
        for path in Path(places.certificates).glob("*.list"):
            self.lists[str(path)] = path.read_text().splitlines()
            self.files |= {name: Path(name).read_text().strip() for name in self.lists[str(path)]}

    async def load(self, line: str, content: str) -> str:
        path = line.removeprefix("set ssl cert ")
        if path not in self.files:
            return "Can't replace a certificate which is not referenced by the configuration!"
        self.pending = (path, content.strip())
        return f"Transaction created for certificate {path}!"

    async def command(self, line: str) -> str:
        answer = self._command(line.split(" "))
        self.states.append({name: [self.files[path] for path in paths] for name, paths in self.lists.items()})
        return answer

    def _command(self, words: list[str]) -> str:
        match words:
            case ["show", "ssl", "cert"]:
                return "\n".join(["# filename", *self.files])
            case ["show", "ssl", "crt-list"]:
                return "\n".join(self.lists)
            case ["show", "ssl", "crt-list", "-n", name]:
                return "\n".join([f"# {name}", *(f"{path}:{number}" for number, path in enumerate(self.lists[name], 1))])
            case ["new", "ssl", "cert", path]:
                assert path not in self.files
                self.files[path] = ""
                return f"New empty certificate store '{path}'!"
            case ["commit", "ssl", "cert", path]:
                assert self.pending is not None and self.pending[0] == path
                self.files[path], self.pending = self.pending[1], None
                return f"Committing {path}\nSuccess!"
            case ["add", "ssl", "crt-list", name, path]:
                assert self.files[path], "a certificate without content cannot be added"
                self.lists[name].append(path)
                return "Inserting certificate\nSuccess!"
            case ["del", "ssl", "crt-list", name, path]:
                assert self.lists[name].index(path) > 0, "the default one cannot go"
                self.lists[name].remove(path)
                return f"Entry '{path}' deleted in crtlist '{name}'!"
            case ["del", "ssl", "cert", path]:
                if any(path in paths for paths in self.lists.values()):
                    return "it is in use"
                del self.files[path]
                return f"Certificate '{path}' deleted!"
        raise AssertionError(words)


Step = tuple[list[str], tuple[int, ...], bool]
#: a listener's certificates, and which version of each there is
STEP = st.tuples(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True), st.tuples(*[st.integers(0, 1)] * 3), st.booleans())


@given(st.lists(STEP, min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_a_worker_ends_with_what_is_wanted_and_nobody_is_shown_anything_else_on_the_way(
    steps: list[tuple[list[str], tuple[int, ...], bool]],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_follows(Places(directory), steps))


def _read(paths: list[str]) -> list[str]:
    return [Path(path).read_text().strip() for path in paths]


def _names(directory: str) -> set[str]:
    return {str(path) for path in Path(directory).iterdir()}


async def _follows(places: Places, steps: list[Step]) -> None:
    store = memory_store((CERTIFICATES,))
    certificates, worker = Certificates(store, places, SECRET), Worker()
    before: tuple[list[str], dict[str, str]] | None = None
    for names, versions, is_another in steps:
        rows = {name: pair(name, version) for name, version in zip(NAMES, versions, strict=True)}
        for name, (certificate, key) in rows.items():
            row = Certificate(arn(name), "IMPORTED", "ISSUED", name, 0.0, certificate=certificate, sealed_key=seal(SECRET, PURPOSE, key))
            await store.transact(lambda tx, row=row: tx.put(CERTIFICATES, row))
        made = front(protocol="HTTPS", port=443)
        listener = replace(made.listener, certificates=tuple(map(arn, names)))
        one: Front = replace(made, listener=listener, proofs=proofs_of(store, listener, SECRET))
        snapshot = Snapshot((one.load_balancer,), (one,), ())
        if before is None:
            certificates.install(snapshot)
            worker.read(places)
            certificates.began(snapshot)
        elif is_another:
            # Whoever follows from here on knows nothing of what was told.
            certificates = Certificates(store, places, SECRET)
        worker.states.clear()
        await certificates.tell(snapshot, worker)
        wanted = {name: b"".join(rows[name]).decode().strip() for name in NAMES}
        shown = places.certificate_list(one)
        default, *others = [worker.files[path] for path in worker.lists[shown]]
        assert default == wanted[names[0]] and sorted(others) == sorted(wanted[name] for name in names[1:])
        assert _read(worker.lists[shown]) == [default, *others], "and so does whoever starts next"
        for state in worker.states:
            if before is not None:
                for name in set(names) & set(before[0]):
                    assert set(state[shown]) & {wanted[name], before[1][name]}, f"{name} was missing for a moment"
        assert set(worker.files) == set(worker.lists[shown])
        assert _names(places.certificates) == {*worker.files, shown}
        before = (names, wanted)
    await store.close()
