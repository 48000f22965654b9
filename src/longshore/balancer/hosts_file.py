"""Names of load balancers in /etc/hosts, so that browsers and everything else on the machine find those that nobody serves by DNS.

Names that end with `.localhost` need nothing: they are the machine's own for every browser. The others (docs/decisions/0010) stand in
a block of this installation's, told apart by its data directory, and lead to the load balancers' own addresses; so two with the same
port are told apart here, whatever they speak. The rest of the file is somebody else's and stays as it is, byte by byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from longshore.balancer.words import address_of
from longshore.config import LOCAL_DOMAIN
from longshore.services.elbv2.model import LOAD_BALANCERS
from longshore.store.base import Store

log = logging.getLogger("longshore.balancer")

_MOST_BYTES = 4 * 1024 * 1024


class HostsFile:
    def __init__(self, store: Store, network: str, owner: Path, path: Path = Path("/etc/hosts")) -> None:
        """`owner` is the data directory of the installation."""
        self._store = store
        self._network = network
        self._owner = str(owner)
        self._path = path

    async def run(self) -> None:
        """Until cancelled."""
        watch = self._store.watch(LOAD_BALANCERS)
        try:
            while True:
                await asyncio.to_thread(self._write, self._names())
                await watch.next()
        finally:
            watch.close()

    async def forget(self) -> None:
        await asyncio.to_thread(self._write, {})

    def _names(self) -> dict[str, str]:
        return {
            lb.dns_name: address_of(lb.slot, self._network)
            for lb in self._store.list(LOAD_BALANCERS)
            if not lb.dns_name.endswith(f".{LOCAL_DOMAIN}")
        }

    def _write(self, names: Mapping[str, str]) -> None:
        try:
            with self._path.open("r+b") as file:
                # several installations may share the machine; nobody writes while another does
                fcntl.flock(file, fcntl.LOCK_EX)
                before = file.read(_MOST_BYTES)
                after = with_block(before, self._owner, names)
                if after != before:
                    # in place: where the file is mounted by itself, no other can be put there
                    file.seek(0)
                    file.write(after)
                    file.truncate()
                    file.flush()
                    with contextlib.suppress(OSError):
                        os.fsync(file.fileno())
        except OSError as error:
            log.error("names of load balancers cannot be written to %s: %s", self._path, error)


def with_block(content: bytes, owner: str, names: Mapping[str, str]) -> bytes:
    """`content` with the lines of `owner` being those for `names` (name -> address), and none when there are no names. Pure."""
    begin, end = f"# begin Longshore {owner}", f"# end Longshore {owner}"
    lines = content.splitlines(keepends=True)
    texts = [line.strip().decode(errors="replace") for line in lines]
    while begin in texts:
        first = texts.index(begin)
        # without its end nobody knows what was ours
        last = texts.index(end, first) if end in texts[first:] else first
        del lines[first : last + 1], texts[first : last + 1]
    kept = b"".join(lines)
    if not names:
        return kept
    if kept and not kept.endswith(b"\n"):
        kept += b"\n"
    return kept + "".join(f"{line}\n" for line in _lines(begin, end, names)).encode()


def _lines(begin: str, end: str, names: Mapping[str, str]) -> Iterable[str]:
    yield begin
    for name, address in sorted(names.items()):
        yield f"{address} {name}"
    yield end
