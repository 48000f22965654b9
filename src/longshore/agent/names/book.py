"""The names that are answered for on this machine: one file per agent, in a directory that only their user may enter.

An agent writes what its platform told it; the resolver reads all of them. A file outlives its agent, as containers do, and counts
for nothing once the agent's own directory is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from longshore.config import INTERNAL_DOMAIN, LOCAL_DOMAIN, write_privately

#: what a load balancer's name ends with. Browsers, curl and some libraries never ask anybody for `*.localhost`: to them it is
#: their own machine, which in a container is the container. So every load balancer has the same name below the other, too.
DOMAINS = (LOCAL_DOMAIN, INTERNAL_DOMAIN)
_PART = "elb"


class Page(msgspec.Struct, frozen=True):
    """What one agent knows."""

    #: the agent's own directory
    owner: str
    #: name -> addresses at which containers of this machine reach it
    names: dict[str, tuple[str, ...]] = {}


class Book:
    def __init__(self, run_directory: Path) -> None:
        self.directory = run_directory / "names"

    def write(self, instance_id: str, page: Page) -> None:
        """Raises OSError."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_privately(self.directory / f"{instance_id}.json", msgspec.json.encode(page))

    def remove(self, instance_id: str) -> None:
        (self.directory / f"{instance_id}.json").unlink(missing_ok=True)

    def pages(self) -> list[Page]:
        """Those whose agents still have their directory. What cannot be read is another version's, and is left alone."""
        found = []
        for path in sorted(self.directory.glob("*.json")):
            try:
                page = msgspec.json.decode(path.read_bytes(), type=Page)
            except (OSError, msgspec.MsgspecError):
                continue
            if Path(page.owner).is_dir():
                found.append(page)
        return found

    def state(self) -> tuple[tuple[str, int], ...]:
        """Another one after each change."""
        try:
            return tuple(sorted((path.name, path.stat().st_mtime_ns) for path in self.directory.glob("*.json")))
        except OSError:
            return ()


def everywhere(pages: Iterable[Page]) -> dict[str, tuple[str, ...]]:
    """All names of all agents, each in every domain."""
    return {twin: addresses for page in pages for name, addresses in page.names.items() for twin in (name.lower(), *_twins(name.lower()))}


def _twins(name: str) -> list[str]:
    for domain in DOMAINS:
        if name.endswith(f".{_PART}.{domain}"):
            stem = name.removesuffix(domain)
            return [f"{stem}{other}" for other in DOMAINS if other != domain]
    return []


def is_ours(name: str) -> bool:
    """Whether nobody else is to be asked for it: below the load balancers' part of a domain, or below one that is nobody's."""
    return any(name.endswith(f".{_PART}.{domain}") for domain in DOMAINS) or f".{name}".endswith(f".{DOMAINS[1]}")
