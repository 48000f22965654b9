"""From files to packages: each packaging system's own database read as far as it names what is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from longshore.scanner.inventory import apk, dpkg, node, python, rpm
from longshore.scanner.inventory.distribution import distribution_of
from longshore.scanner.inventory.owned import owned_by_distribution
from longshore.scanner.layers import File
from longshore.scanner.limits import Limits, Refused
from longshore.scanner.report import Distribution, Package

Reader = Callable[[Mapping[str, File]], Iterable[Package]]

#: what each reads from the files of an image; raises Refused for a database that cannot be read
DISTRIBUTIONS: tuple[Reader, ...] = (dpkg.read, apk.read, rpm.read)
LANGUAGES: tuple[Reader, ...] = (python.read, node.read)


def packages_of(files: Mapping[str, File], limits: Limits) -> tuple[Distribution, tuple[Package, ...]]:
    """The distribution and everything installed, each package once and in a fixed order. Raises Refused."""
    found: set[Package] = set()
    is_owned = owned_by_distribution(files)
    others = {path: file for path, file in files.items() if not is_owned(path)}
    for read, given in (*((read, files) for read in DISTRIBUTIONS), *((read, others) for read in LANGUAGES)):
        for package in read(given):
            found.add(package)
            if len(found) > limits.packages:
                raise Refused(f"the image has more than {limits.packages} packages")
    return distribution_of(files), tuple(sorted(found, key=lambda each: (each.manager, each.name, each.version, each.arch, each.path)))
