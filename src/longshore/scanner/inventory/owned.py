"""Which Python and npm packages a distribution's own packages brought along.

A distribution mends what it ships without changing its version, and says so in its own vulnerability records. Looked up once more under
upstream's names and versions, such a package would be blamed for what was mended long ago; so it counts as the distribution's alone.

Alpine's database names every file. Debian and the RPM distributions set directories apart that nothing but their packages writes to.
https://www.debian.org/doc/packaging-manuals/python-policy/#paths, https://docs.fedoraproject.org/en-US/packaging-guidelines/Python/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from longshore.scanner.layers import File

_ALPINE = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
_DEBIAN = ("var/lib/dpkg/status", "var/lib/dpkg/status.d/")
_RPM = ("var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite")
_DEBIAN_PLACES = re.compile(r"usr/(?:lib/python[0-9.]*/dist-packages|share/nodejs|lib/nodejs|share/npm)/.*")
_RPM_PLACES = re.compile(r"usr/lib(?:64)?/(?:python[0-9.]+/site-packages|node_modules)/.*")


def owned_by_distribution(files: Mapping[str, File]) -> Callable[[str], bool]:
    """Whether the file at a path belongs to a package of the distribution."""
    places = [
        place for place, databases in ((_DEBIAN_PLACES, _DEBIAN), (_RPM_PLACES, _RPM)) if any(path.startswith(databases) for path in files)
    ]
    exact = {owned for path in _ALPINE if path in files for owned in _alpine_files(files[path].content)}
    return lambda path: path in exact or any(place.fullmatch(path) for place in places)


def _alpine_files(content: bytes) -> set[str]:
    """Those that could tell of a package of a language; `F:` begins a directory, `R:` is a file in it."""
    found: set[str] = set()
    directory = ""
    for line in content.decode(errors="replace").split("\n"):
        if line.startswith("F:"):
            directory = line[2:].strip()
        elif line.startswith("R:") and line.endswith(("METADATA", "PKG-INFO", ".egg-info", ".json")):
            found.add(f"{directory}/{line[2:].strip()}")
    return found
