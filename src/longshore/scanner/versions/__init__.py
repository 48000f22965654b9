"""Which of two versions is newer, as each packaging system says it.

A comparison never fails on strange input: databases and images hold versions that no rule foresaw, so what a system's rules do
not order is ordered in some fixed way, the same each time. `compare` gives a negative number, 0 or a positive one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from longshore.scanner.versions import apk, dpkg, pep440, rpm, semver

Compare = Callable[[str, str], int]

#: package manager -> its order
ORDERS: Mapping[str, Compare] = {
    "dpkg": dpkg.compare,
    "apk": apk.compare,
    "rpm": rpm.compare,
    "pip": pep440.compare,
    "npm": semver.compare,
}
