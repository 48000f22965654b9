"""Certificates in the running HAProxy: files for the next worker to read, and the same told to the one that serves now.

Each listener with TLS has a list (a *crt-list*) whose first line is its default certificate, in a file of its own that gets
another content when the listener gets another default; after it come those chosen by the name a client asks for, in files that
listeners share. Lists and files do not belong to the structure: a change is written and then told, no connection notices it,
and the next handshake sees it. Keys leave the store only for these files and for HAProxy's memory.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from longshore.balancer.files import make_sure_of, read, write
from longshore.balancer.render.places import Places
from longshore.balancer.render.tls import shown
from longshore.balancer.runtime import Runtime, RuntimeRefused
from longshore.balancer.snapshot import Proof, Snapshot
from longshore.kit.sealing import Keys, SealBroken
from longshore.services.acm.material import material_of
from longshore.store.base import Store

log = logging.getLogger("longshore.balancer")

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n.*?-----END \1-----", re.DOTALL)
_OTHER = re.compile(r"ongoing transaction is about '([^']+)'")
_ENTRY = re.compile(r"^(/.*):\d+$")


class Certificates:
    def __init__(self, store: Store, places: Places, secret: Keys) -> None:
        self._store = store
        self._places = places
        self._secret = secret
        #: file -> digest of what this process has written there
        self._written: dict[str, str] = {}
        #: the same of what the worker has; None while that is not known
        self._running: dict[str, str] | None = None
        #: crt-list -> the files in it, as the worker has them
        self._lists: dict[str, list[str]] = {}

    def __repr__(self) -> str:
        return f"Certificates({len(self._written)})"

    def forget(self) -> None:
        """The worker is another one, or was started by somebody else."""
        self._running = None

    def install(self, snapshot: Snapshot) -> None:
        """Writes what a worker that starts now is to read. Raises OSError."""
        make_sure_of(self._places.certificates)
        for path, proof in _files(snapshot, self._places).items():
            if self._written.get(path) != proof.digest or not os.path.exists(path):
                content = self._content(proof)
                if content is not None:
                    write(Path(path), content)
                    self._written[path] = proof.digest
        for front in snapshot.fronts:
            if not front.is_tls or front.problem:
                continue
            name, lines = self._places.certificate_list(front), "".join(f"{path}\n" for path, _ in shown(front, self._places))
            if self._written.get(name) != lines or not os.path.exists(name):
                write(Path(name), lines.encode())
                self._written[name] = lines

    def began(self, snapshot: Snapshot) -> None:
        """A worker has just read what was installed for `snapshot`."""
        self._running = {path: self._written.get(path, "") for path in _files(snapshot, self._places)}
        self._lists = _lists(snapshot, self._places)

    async def tell(self, snapshot: Snapshot, runtime: Runtime) -> None:
        """Makes the next handshakes see what is wanted now. Raises RuntimeFailed; RuntimeRefused when only a reload can help."""
        self.install(snapshot)
        files, lists = _files(snapshot, self._places), _lists(snapshot, self._places)
        if self._running is None:
            await self._learn(runtime)
        assert self._running is not None
        known = lists.keys() & self._lists.keys()
        shown_now = {path: proof for path, proof in files.items() if any(path in lists[name] for name in known)}
        # Whoever is asked for by name is there before the default becomes another, and goes after it: nobody is shown
        # somebody else's certificate in between.
        for path, proof in shown_now.items():
            if path not in self._running:
                await self._put(runtime, path, proof, is_new=True)
        for name in known:
            await self._add(runtime, name, lists[name])
        for path, proof in shown_now.items():
            if self._running[path] != proof.digest:
                await self._put(runtime, path, proof, is_new=False)
        for name in known:
            await self._remove(runtime, name, lists[name])
        self._drop_unused(await self._forgotten(runtime, set(files)), files.keys() | lists.keys())

    async def _learn(self, runtime: Runtime) -> None:
        """What the worker has: which files and lists. What is in the files cannot be told, so all of them are told again."""
        self._running = {path: "" for path in (await runtime.command("show ssl cert")).splitlines() if path.startswith("/")}
        self._lists = {}
        for name in (await runtime.command("show ssl crt-list")).splitlines():
            if name.startswith("/"):
                entries = (await runtime.command(f"show ssl crt-list -n {name}")).splitlines()
                self._lists[name] = [found[1] for found in map(_ENTRY.match, entries) if found]

    async def _put(self, runtime: Runtime, path: str, proof: Proof, *, is_new: bool) -> None:
        assert self._running is not None
        if is_new:
            answer = await runtime.command(f"new ssl cert {path}")
            if not answer.startswith("New empty certificate store") and "already exists" not in answer:
                raise RuntimeRefused(f"new ssl cert {path}: {answer}")
        content = read(path)
        answer = await runtime.load(f"set ssl cert {path}", content)
        other = _OTHER.search(answer)
        if other is not None:
            # Whoever began it is gone.
            await runtime.command(f"abort ssl cert {other[1]}")
            answer = await runtime.load(f"set ssl cert {path}", content)
        if "Transaction" not in answer:
            raise RuntimeRefused(f"set ssl cert {path}: {answer}")
        answer = await runtime.command(f"commit ssl cert {path}")
        if not answer.endswith("Success!"):
            await runtime.command(f"abort ssl cert {path}")
            raise RuntimeRefused(f"commit ssl cert {path}: {answer}")
        self._running[path] = proof.digest
        log.info("%s is shown as it is now", proof.arn)

    async def _add(self, runtime: Runtime, name: str, wanted: list[str]) -> None:
        known = self._lists[name]
        for path in [path for path in wanted if path not in known]:
            answer = await runtime.command(f"add ssl crt-list {name} {path}")
            if not answer.endswith("Success!"):
                raise RuntimeRefused(f"add ssl crt-list {name} {path}: {answer}")
            known.append(path)

    async def _remove(self, runtime: Runtime, name: str, wanted: list[str]) -> None:
        known = self._lists[name]
        for path in [path for path in known if path not in wanted]:
            answer = await runtime.command(f"del ssl crt-list {name} {path}")
            if "deleted in crtlist" not in answer:
                raise RuntimeRefused(f"del ssl crt-list {name} {path}: {answer}")
            known.remove(path)

    async def _forgotten(self, runtime: Runtime, wanted: set[str]) -> set[str]:
        """Files that the worker still needs, wanted or not."""
        assert self._running is not None
        for path in self._running.keys() - wanted:
            if any(path in paths for paths in self._lists.values()):
                continue  # of a listener that goes with the next structure
            answer = await runtime.command(f"del ssl cert {path}")
            if answer.endswith("deleted!"):
                del self._running[path]
        return set(self._running) | set(self._lists)

    def _drop_unused(self, running: set[str], wanted: set[str]) -> None:
        for path in map(str, Path(self._places.certificates).iterdir()):
            if path not in running and path not in wanted:
                Path(path).unlink(missing_ok=True)
                self._written.pop(path, None)

    def _content(self, proof: Proof) -> bytes | None:
        """Nothing but blocks of PEM: an empty line would end it on its way to the worker."""
        try:
            material = material_of(self._store, proof.arn, self._secret)
        except SealBroken:
            return None
        if material is None:
            return None
        blocks = [found[0].replace(b"\r", b"") for found in _BLOCK.finditer(material.bundle)]
        return b"".join(b"\n".join(line for line in block.splitlines() if line.strip()) + b"\n" for block in blocks)


def _files(snapshot: Snapshot, places: Places) -> dict[str, Proof]:
    return {path: proof for front in snapshot.fronts if front.is_tls and not front.problem for path, proof in shown(front, places)}


def _lists(snapshot: Snapshot, places: Places) -> dict[str, list[str]]:
    return {
        places.certificate_list(front): [path for path, _ in shown(front, places)]
        for front in snapshot.fronts
        if front.is_tls and not front.problem
    }
